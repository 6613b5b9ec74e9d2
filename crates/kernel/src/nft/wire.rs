//! The numbers of `linux/netfilter/nf_tables.h` and `nfnetlink.h` that are used here, by what they number.

/// `NFNL_SUBSYS_NFTABLES`.
pub(crate) const SUBSYSTEM: u8 = 10;
/// The length of `struct nfgenmsg`.
pub(crate) const GENMSG: usize = 4;
/// `NFNL_MSG_BATCH_BEGIN`.
pub(crate) const BATCH_BEGIN: u16 = 0x10;
/// `NFNL_MSG_BATCH_END`.
pub(crate) const BATCH_END: u16 = 0x11;
/// `NFNL_BATCH_GENID`.
pub(crate) const BATCH_GENERATION: u16 = 1;
/// `NFNLGRP_NFTABLES`.
pub(crate) const GROUP: u32 = 7;

/// `NFT_MSG_…`.
pub(crate) mod msg {
    pub(crate) const NEW_TABLE: u8 = 0;
    pub(crate) const GET_TABLE: u8 = 1;
    pub(crate) const DEL_TABLE: u8 = 2;
    pub(crate) const NEW_CHAIN: u8 = 3;
    pub(crate) const GET_CHAIN: u8 = 4;
    pub(crate) const DEL_CHAIN: u8 = 5;
    pub(crate) const NEW_RULE: u8 = 6;
    pub(crate) const GET_RULE: u8 = 7;
    pub(crate) const DEL_RULE: u8 = 8;
    pub(crate) const NEW_SET: u8 = 9;
    pub(crate) const GET_SET: u8 = 10;
    pub(crate) const DEL_SET: u8 = 11;
    pub(crate) const NEW_ELEMENT: u8 = 12;
    pub(crate) const GET_ELEMENT: u8 = 13;
    pub(crate) const DEL_ELEMENT: u8 = 14;
    pub(crate) const NEW_GENERATION: u8 = 15;
    pub(crate) const GET_GENERATION: u8 = 16;
    // Since Linux 6.3.
    pub(crate) const DESTROY_TABLE: u8 = 26;
    pub(crate) const DESTROY_CHAIN: u8 = 27;
    pub(crate) const DESTROY_SET: u8 = 29;
    pub(crate) const DESTROY_ELEMENT: u8 = 30;
}

/// `NFTA_TABLE_…`.
pub(crate) mod table {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const FLAGS: u16 = 2;
    pub(crate) const HANDLE: u16 = 4;
    pub(crate) const USERDATA: u16 = 6;
    /// `NFT_TABLE_F_DORMANT`.
    pub(crate) const F_DORMANT: u32 = 1;
    /// `NFT_TABLE_F_OWNER`.
    pub(crate) const F_OWNER: u32 = 2;
    /// `NFT_TABLE_F_PERSIST`, since Linux 6.9.
    pub(crate) const F_PERSIST: u32 = 4;
}

/// `NFTA_CHAIN_…`.
pub(crate) mod chain {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const HANDLE: u16 = 2;
    pub(crate) const NAME: u16 = 3;
    pub(crate) const HOOK: u16 = 4;
    pub(crate) const POLICY: u16 = 5;
    pub(crate) const KIND: u16 = 7;
    pub(crate) const USERDATA: u16 = 12;
    /// `NFTA_HOOK_HOOKNUM`.
    pub(crate) const HOOK_NUMBER: u16 = 1;
    /// `NFTA_HOOK_PRIORITY`.
    pub(crate) const HOOK_PRIORITY: u16 = 2;
}

/// `NFTA_RULE_…`.
pub(crate) mod rule {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const CHAIN: u16 = 2;
    pub(crate) const HANDLE: u16 = 3;
    pub(crate) const EXPRESSIONS: u16 = 4;
    pub(crate) const POSITION: u16 = 6;
    pub(crate) const USERDATA: u16 = 7;
}

/// `NFTA_SET_…`.
pub(crate) mod set {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const NAME: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    pub(crate) const KEY_TYPE: u16 = 4;
    pub(crate) const KEY_LENGTH: u16 = 5;
    pub(crate) const DATA_TYPE: u16 = 6;
    pub(crate) const DATA_LENGTH: u16 = 7;
    pub(crate) const DESCRIPTION: u16 = 9;
    pub(crate) const ID: u16 = 10;
    pub(crate) const USERDATA: u16 = 13;
    pub(crate) const HANDLE: u16 = 16;
    /// `NFTA_SET_DESC_SIZE`.
    pub(crate) const DESCRIPTION_SIZE: u16 = 1;
    /// `NFTA_SET_DESC_CONCAT`.
    pub(crate) const DESCRIPTION_CONCAT: u16 = 2;
    /// `NFTA_SET_FIELD_LEN`.
    pub(crate) const FIELD_LENGTH: u16 = 1;
    pub(crate) const F_ANONYMOUS: u32 = 0x1;
    pub(crate) const F_CONSTANT: u32 = 0x2;
    pub(crate) const F_INTERVAL: u32 = 0x4;
    pub(crate) const F_MAP: u32 = 0x8;
    pub(crate) const F_CONCAT: u32 = 0x80;
    /// `NFT_DATA_VERDICT`.
    pub(crate) const VERDICT: u32 = 0xffff_ff00;
}

/// `NFTA_SET_ELEM_…` and `NFTA_SET_ELEM_LIST_…`.
pub(crate) mod element {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const SET: u16 = 2;
    pub(crate) const ELEMENTS: u16 = 3;
    pub(crate) const SET_ID: u16 = 4;
    pub(crate) const KEY: u16 = 1;
    pub(crate) const DATA: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    pub(crate) const KEY_END: u16 = 10;
    /// `NFT_SET_ELEM_INTERVAL_END`.
    pub(crate) const F_END: u32 = 1;
}

/// `NFTA_DATA_…` and `NFTA_VERDICT_…`.
pub(crate) mod data {
    pub(crate) const VALUE: u16 = 1;
    pub(crate) const VERDICT: u16 = 2;
    pub(crate) const CODE: u16 = 1;
    pub(crate) const CHAIN: u16 = 2;
}

/// The verdicts' numbers, as the kernel's `int`.
pub(crate) mod verdict {
    pub(crate) const DROP: i32 = 0;
    pub(crate) const ACCEPT: i32 = 1;
    pub(crate) const CONTINUE: i32 = -1;
    pub(crate) const JUMP: i32 = -3;
    pub(crate) const GOTO: i32 = -4;
    pub(crate) const RETURN: i32 = -5;
}

/// `NFTA_LIST_ELEM`.
pub(crate) const LIST_ELEMENT: u16 = 1;

/// `NFTA_EXPR_…`, and each expression's own attributes.
pub(crate) mod expr {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const DATA: u16 = 2;

    pub(crate) const META_DREG: u16 = 1;
    pub(crate) const META_KEY: u16 = 2;
    pub(crate) const META_SREG: u16 = 3;
    pub(crate) const META_MARK: u32 = 3;
    pub(crate) const META_IIFNAME: u32 = 6;
    pub(crate) const META_OIFNAME: u32 = 7;
    pub(crate) const META_NFPROTO: u32 = 15;
    pub(crate) const META_L4PROTO: u32 = 16;

    pub(crate) const PAYLOAD_DREG: u16 = 1;
    pub(crate) const PAYLOAD_BASE: u16 = 2;
    pub(crate) const PAYLOAD_OFFSET: u16 = 3;
    pub(crate) const PAYLOAD_LENGTH: u16 = 4;
    pub(crate) const NETWORK_HEADER: u32 = 1;
    pub(crate) const TRANSPORT_HEADER: u32 = 2;

    pub(crate) const CT_DREG: u16 = 1;
    pub(crate) const CT_KEY: u16 = 2;
    pub(crate) const CT_STATE: u32 = 0;
    pub(crate) const CT_STATUS: u32 = 2;

    pub(crate) const FIB_DREG: u16 = 1;
    pub(crate) const FIB_RESULT: u16 = 2;
    pub(crate) const FIB_FLAGS: u16 = 3;
    pub(crate) const FIB_RESULT_OIF: u32 = 1;
    pub(crate) const FIB_RESULT_ADDRTYPE: u32 = 3;
    pub(crate) const FIB_F_SADDR: u32 = 1;
    pub(crate) const FIB_F_DADDR: u32 = 2;
    pub(crate) const FIB_F_IIF: u32 = 8;
    pub(crate) const FIB_F_PRESENT: u32 = 32;

    pub(crate) const CMP_SREG: u16 = 1;
    pub(crate) const CMP_OP: u16 = 2;
    pub(crate) const CMP_DATA: u16 = 3;
    pub(crate) const CMP_EQ: u32 = 0;
    pub(crate) const CMP_NE: u32 = 1;
    pub(crate) const CMP_LE: u32 = 3;
    pub(crate) const CMP_GE: u32 = 5;

    pub(crate) const RANGE_SREG: u16 = 1;
    pub(crate) const RANGE_OP: u16 = 2;
    pub(crate) const RANGE_FROM: u16 = 3;
    pub(crate) const RANGE_TO: u16 = 4;
    pub(crate) const RANGE_NE: u32 = 1;

    pub(crate) const BITWISE_SREG: u16 = 1;
    pub(crate) const BITWISE_DREG: u16 = 2;
    pub(crate) const BITWISE_LENGTH: u16 = 3;
    pub(crate) const BITWISE_MASK: u16 = 4;
    pub(crate) const BITWISE_XOR: u16 = 5;

    pub(crate) const LOOKUP_SET: u16 = 1;
    pub(crate) const LOOKUP_SREG: u16 = 2;
    pub(crate) const LOOKUP_DREG: u16 = 3;
    pub(crate) const LOOKUP_SET_ID: u16 = 4;
    pub(crate) const LOOKUP_FLAGS: u16 = 5;
    pub(crate) const LOOKUP_INVERT: u32 = 1;

    pub(crate) const IMMEDIATE_DREG: u16 = 1;
    pub(crate) const IMMEDIATE_DATA: u16 = 2;

    pub(crate) const LIMIT_RATE: u16 = 1;
    pub(crate) const LIMIT_UNIT: u16 = 2;
    pub(crate) const LIMIT_BURST: u16 = 3;
    pub(crate) const LIMIT_KIND: u16 = 4;
    pub(crate) const LIMIT_FLAGS: u16 = 5;

    pub(crate) const LOG_GROUP: u16 = 1;
    pub(crate) const LOG_PREFIX: u16 = 2;
    pub(crate) const LOG_SNAPLEN: u16 = 3;
    pub(crate) const LOG_LEVEL: u16 = 5;

    pub(crate) const MASQ_FLAGS: u16 = 1;
    pub(crate) const MASQ_PROTO_MIN: u16 = 2;
    pub(crate) const MASQ_PROTO_MAX: u16 = 3;
    /// `NF_NAT_RANGE_MAP_IPS`, which the kernel adds by itself.
    pub(crate) const NAT_F_ADDRESS: u32 = 1;
    /// `NF_NAT_RANGE_PROTO_SPECIFIED`.
    pub(crate) const NAT_F_PROTO: u32 = 2;
    /// `NF_NAT_RANGE_PROTO_RANDOM_FULLY`.
    pub(crate) const NAT_F_RANDOM_FULLY: u32 = 16;

    pub(crate) const NAT_KIND: u16 = 1;
    pub(crate) const NAT_FAMILY: u16 = 2;
    pub(crate) const NAT_ADDRESS: u16 = 3;
    pub(crate) const NAT_PORT: u16 = 5;
    pub(crate) const NAT_FLAGS: u16 = 7;

    pub(crate) const REJECT_KIND: u16 = 1;
    pub(crate) const REJECT_CODE: u16 = 2;
    pub(crate) const REJECT_TCP_RESET: u32 = 1;
    pub(crate) const REJECT_ICMPX: u32 = 2;
}

/// The types of the entries in `…_USERDATA`, as the `nft` tool writes them: type, length, bytes.
pub(crate) mod userdata {
    /// The note of a table, a chain or a rule.
    pub(crate) const COMMENT: u8 = 0;
    /// Whether a set's key stands in the host's order (1) or the network's (2).
    pub(crate) const KEY_ORDER: u8 = 0;
    /// The same of a map's data.
    pub(crate) const DATA_ORDER: u8 = 1;
    /// The note of a set.
    pub(crate) const SET_COMMENT: u8 = 7;
}
