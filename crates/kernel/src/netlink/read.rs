//! Reading messages and attributes from bytes that the kernel, or whoever claims to be it, has sent.
//!
//! An iterator ends where the bytes stop to make sense; nothing here panics, whatever the bytes.

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// `NLA_TYPE_MASK`: what remains of a kind without its two flags.
const KIND: u16 = 0x3fff;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// What it is.
    pub(crate) kind: u16,
    /// `NLM_F_…`.
    pub(crate) flags: u16,
    /// Of the request that it answers.
    pub(crate) sequence: u32,
    /// Who caused it, in notifications; who is meant, in answers.
    pub(crate) port: u32,
    /// All of it, with the header.
    pub(crate) whole: &'a [u8],
    /// What stands behind the header.
    pub(crate) body: &'a [u8],
}

/// The messages of a datagram.
#[derive(Debug, Clone)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

/// The attributes of a message, or of an attribute that nests.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

/// What an `NLMSG_ERROR` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack<'a> {
    /// 0 = done, else the error number (positive).
    pub(crate) errno: i32,
    /// Of the request.
    pub(crate) sequence: u32,
    /// The kernel's own words (`NLMSGERR_ATTR_MSG`).
    pub(crate) text: Option<&'a str>,
    /// Where in the request the wrong attribute begins (`NLMSGERR_ATTR_OFFS`).
    pub(crate) offset: Option<u32>,
}

// === impl Messages ===

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let bytes = self.0;
        let length = usize::try_from(ne32(bytes, 0)?).ok()?;
        if length < HEADER || length > bytes.len() {
            self.0 = &[];
            return None;
        }
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Message {
            kind: ne16(bytes, 4)?,
            flags: ne16(bytes, 6)?,
            sequence: ne32(bytes, 8)?,
            port: ne32(bytes, 12)?,
            whole: &bytes[..length],
            body: &bytes[HEADER..length],
        })
    }
}

// === impl Message ===

impl<'a> Message<'a> {
    /// The attributes behind a fixed part of that length.
    pub(crate) fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes(self.body.get(fixed.next_multiple_of(4)..).unwrap_or(&[]))
    }

    /// What an `NLMSG_ERROR` says; none when it is too short.
    pub(crate) fn ack(&self) -> Option<Ack<'a>> {
        /// `NLM_F_CAPPED`: only the header of the request is repeated.
        const CAPPED: u16 = 0x100;
        /// `NLM_F_ACK_TLVS`: attributes follow.
        const TLVS: u16 = 0x200;
        let errno = ne32(self.body, 0)?.cast_signed().wrapping_neg();
        let repeated = usize::try_from(ne32(self.body, 4)?).ok()?;
        let mut ack = Ack { errno, sequence: ne32(self.body, 12)?, text: None, offset: None };
        if self.flags & TLVS != 0 {
            let request =
                if self.flags & CAPPED != 0 { HEADER } else { repeated.checked_next_multiple_of(4)? };
            let attributes = self.body.get(request.checked_add(4)?..).unwrap_or(&[]);
            for (kind, value) in Attributes(attributes) {
                match kind {
                    1 => ack.text = text(value),
                    2 => ack.offset = ne32(value, 0),
                    _ => {}
                }
            }
        }
        Some(ack)
    }
}

// === impl Attributes ===

impl<'a> Iterator for Attributes<'a> {
    /// The kind without its flags, and the value.
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let bytes = self.0;
        let length = usize::from(ne16(bytes, 0)?);
        let kind = ne16(bytes, 2)? & KIND;
        if length < 4 || length > bytes.len() {
            self.0 = &[];
            return None;
        }
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, &bytes[4..length]))
    }
}

// === numbers and texts ===

/// A number of 16 bits in the host's order.
pub(crate) fn ne16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// A number of 32 bits in the host's order.
pub(crate) fn ne32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A number of 32 bits in network order.
pub(crate) fn be32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// A number of 64 bits in network order.
pub(crate) fn be64(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Text up to its first NUL; none when it is no UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).ok()
}
