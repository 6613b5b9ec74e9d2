//! Writing messages and attributes into one growing buffer.

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Messages one after another, ready to be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
}

/// The place of an open message, to be closed with [`Buffer::end_message`].
#[derive(Debug)]
#[must_use]
pub(crate) struct OpenMessage(usize);

/// The place of an open attribute, to be closed with [`Buffer::end`].
#[derive(Debug)]
#[must_use]
pub(crate) struct OpenAttribute(usize);

// === impl Buffer ===

impl Buffer {
    /// What has been written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How much has been written.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Forgets what was written from that place on.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Adds flags to the message that begins there.
    pub(crate) fn add_flags(&mut self, message: usize, flags: u16) {
        let [low, high] = flags.to_ne_bytes();
        self.bytes[message + 6] |= low;
        self.bytes[message + 7] |= high;
    }

    /// Takes flags from the message that begins there.
    pub(crate) fn remove_flags(&mut self, message: usize, flags: u16) {
        let [low, high] = flags.to_ne_bytes();
        self.bytes[message + 6] &= !low;
        self.bytes[message + 7] &= !high;
    }

    /// Opens a message; the port is the kernel's to fill in.
    pub(crate) fn message(&mut self, kind: u16, flags: u16, sequence: u32) -> OpenMessage {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        debug_assert_eq!(self.bytes.len(), start + HEADER);
        OpenMessage(start)
    }

    /// Closes a message: writes its length.
    pub(crate) fn end_message(&mut self, OpenMessage(start): OpenMessage) {
        let length = u32::try_from(self.bytes.len() - start).expect("a message is shorter than 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Appends bytes as they are, for the fixed part of a message; padded to four.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    /// Opens an attribute that holds others (`NLA_F_NESTED`).
    pub(crate) fn nest(&mut self, kind: u16) -> OpenAttribute {
        self.open(kind | NESTED)
    }

    /// Opens an attribute to be filled with [`Buffer::raw`].
    pub(crate) fn open(&mut self, kind: u16) -> OpenAttribute {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        OpenAttribute(start)
    }

    /// Closes an attribute: writes its length, which includes what stands in it.
    pub(crate) fn end(&mut self, OpenAttribute(start): OpenAttribute) {
        let length = u16::try_from(self.bytes.len() - start).expect("callers split before 64 KiB");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Closes an attribute whose value ends at that place, before the padding.
    pub(crate) fn end_exact(&mut self, OpenAttribute(start): OpenAttribute, end: usize) {
        let length = u16::try_from(end - start).expect("callers keep values below 64 KiB");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }

    /// An entry of the `nft` tool's user data: type, length, bytes; not padded.
    pub(crate) fn entry(&mut self, kind: u8, value: &[u8]) {
        let length = u8::try_from(value.len()).expect("entries are short");
        self.bytes.extend_from_slice(&[kind, length]);
        self.bytes.extend_from_slice(value);
    }

    /// A note as such an entry, with the closing NUL, cut off at 127 bytes; says where it ends.
    pub(crate) fn comment(&mut self, kind: u8, text: &str) -> usize {
        let mut end = text.len().min(127);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes.extend_from_slice(&[kind, u8::try_from(end + 1).expect("at most 128")]);
        self.bytes.extend_from_slice(&text.as_bytes()[..end]);
        self.bytes.push(0);
        self.bytes.len()
    }

    /// The bytes that stand in an open attribute so far, its header included.
    pub(crate) fn filled(&self, OpenAttribute(start): &OpenAttribute) -> usize {
        self.bytes.len() - start
    }

    /// An attribute of bytes.
    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).expect("callers keep values below 64 KiB");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// An attribute of text, with the closing NUL.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let length = u16::try_from(value.len() + 5).expect("callers keep texts below 64 KiB");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    /// A number in network order, as nftables and conntrack have them.
    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// A number of 64 bits in network order.
    pub(crate) fn be64(&mut self, kind: u16, value: u64) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Fills up to a multiple of four.
    fn pad(&mut self) {
        let missing = self.bytes.len().wrapping_neg() % 4;
        self.bytes.extend_from_slice(&[0; 3][..missing]);
    }
}

/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;
