//! The export format: JSON lines, a header, one line for each key in the store's order, a footer that counts them.
//!
//! A file without its footer is one that was cut short. `expires` marks keys that lived for a while only.

use std::io::{BufRead, Write};

use margay_store::kv::{EntryRef, check_key};
use serde::{Deserialize, Serialize};

use super::{ROOT, TransferError, expires};

/// The word by which an export is recognised.
const FORMAT: &str = "margay-datastore";

/// The version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    root: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    end: bool,
    keys: u64,
    /// The store's revision that the export shows.
    revision: u64,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    key: &'a str,
    value: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    expires: bool,
}

/// One key of an export.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    pub(super) key: String,
    pub(super) value: String,
    /// True when it must not be written: nobody would let it expire.
    #[serde(default)]
    pub(super) expires: bool,
}

/// Writes an export.
pub(super) struct Writer<'a> {
    out: &'a mut (dyn Write + Send),
    keys: u64,
}

/// Reads an export and checks it on the way.
pub(super) struct Reader<R> {
    input: R,
    /// The line last read, from 1.
    line: u64,
    keys: u64,
    buffer: String,
    ended: bool,
}

// === impl Writer ===

impl<'a> Writer<'a> {
    pub(super) fn begin(out: &'a mut (dyn Write + Send)) -> Result<Self, TransferError> {
        let mut writer = Self { out, keys: 0 };
        writer.line(&Header { format: FORMAT.to_owned(), version: VERSION, root: ROOT.to_owned() })?;
        Ok(writer)
    }

    pub(super) fn entry(&mut self, entry: EntryRef<'_>) -> Result<(), TransferError> {
        self.keys += 1;
        self.line(&Line { key: entry.key, value: entry.value, expires: expires(entry.key) })
    }

    /// Writes the footer; returns the number of keys.
    pub(super) fn end(mut self, revision: u64) -> Result<u64, TransferError> {
        let keys = self.keys;
        self.line(&Footer { end: true, keys, revision })?;
        self.out.flush().map_err(TransferError::Write)?;
        Ok(keys)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), TransferError> {
        let mut text = serde_json::to_vec(value).expect("texts, numbers and bools are always JSON");
        text.push(b'\n');
        self.out.write_all(&text).map_err(TransferError::Write)
    }
}

// === impl Reader ===

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    pub(super) fn begin(input: R) -> Result<Self, TransferError> {
        let mut reader = Self { input, line: 0, keys: 0, buffer: String::new(), ended: false };
        if !reader.advance()? {
            return Err(reader.fault("the file is empty"));
        }
        let header: Header = match serde_json::from_str(&reader.buffer) {
            Ok(header) => header,
            Err(_) => return Err(reader.fault("this is no export of a datastore: the header is missing")),
        };
        if header.format != FORMAT || header.root != ROOT {
            return Err(reader.fault("this is no export of a datastore: the header names something else"));
        }
        if header.version > VERSION {
            return Err(reader.fault("the export was written by a newer Margay"));
        }
        Ok(reader)
    }

    /// The next key; none behind the footer, which has been checked then.
    pub(super) fn next(&mut self) -> Result<Option<Item>, TransferError> {
        if self.ended {
            return Ok(None);
        }
        if !self.advance()? {
            return Err(TransferError::Truncated { keys: self.keys });
        }
        if let Ok(item) = serde_json::from_str::<Item>(&self.buffer) {
            let below = item.key.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with('/'));
            if !below || check_key(&item.key).is_err() {
                return Err(self.fault("the key is not one below /calico"));
            }
            self.keys += 1;
            return Ok(Some(item));
        }
        match serde_json::from_str::<Footer>(&self.buffer) {
            Ok(footer) if footer.end => self.finish(footer.keys),
            // A last line that was cut, or a fault in the middle.
            _ if self.is_last()? => Err(TransferError::Truncated { keys: self.keys }),
            _ => Err(self.fault("the line is neither a key with its value nor the end")),
        }
    }

    fn finish(&mut self, promised: u64) -> Result<Option<Item>, TransferError> {
        if promised != self.keys {
            let reason = format!("the end counts {promised} keys, but {} are there", self.keys);
            return Err(self.fault(&reason));
        }
        while self.advance()? {
            if !self.buffer.trim().is_empty() {
                return Err(self.fault("something stands behind the end"));
            }
        }
        self.ended = true;
        Ok(None)
    }

    fn is_last(&mut self) -> Result<bool, TransferError> {
        Ok(self.input.fill_buf().map_err(TransferError::Read)?.is_empty())
    }

    /// Reads the next line; false at the end of the file.
    fn advance(&mut self) -> Result<bool, TransferError> {
        self.buffer.clear();
        self.line += 1;
        match self.input.read_line(&mut self.buffer) {
            Ok(length) => Ok(length > 0),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(self.fault("the line is not valid UTF-8"))
            }
            Err(error) => Err(TransferError::Read(error)),
        }
    }

    /// A fault in the line last read.
    pub(super) fn fault(&self, reason: &str) -> TransferError {
        TransferError::Format { line: self.line, reason: reason.to_owned() }
    }
}
