//! The versions of the CNI specification that we speak (`spec/cni.md` 1.5), and what VERSION answers.
//!
//! VERSION needs nothing else: no configuration, no datastore, no runtime.

use serde_json::{Value, json};

use crate::error::{Code, Failure, Result};

/// A version of the specification that we speak, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpecVersion {
    /// 0.1.0, also when nothing is said.
    V010,
    /// 0.2.0.
    V020,
    /// 0.3.0.
    V030,
    /// 0.3.1.
    V031,
    /// 0.4.0: CHECK.
    V040,
    /// 1.0.0.
    V100,
    /// 1.1.0: GC, STATUS.
    V110,
}

// === impl SpecVersion ===

impl SpecVersion {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::V010, Self::V020, Self::V030, Self::V031, Self::V040, Self::V100, Self::V110];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V010 => "0.1.0",
            Self::V020 => "0.2.0",
            Self::V030 => "0.3.0",
            Self::V031 => "0.3.1",
            Self::V040 => "0.4.0",
            Self::V100 => "1.0.0",
            Self::V110 => "1.1.0",
        }
    }

    /// The version that a configuration names; nothing means 0.1.0.
    ///
    /// # Errors
    /// It is none that we speak.
    pub fn of_config(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::V010);
        }
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or_else(|| {
            let spoken: Vec<String> = Self::ALL.iter().map(|v| format!("\"{}\"", v.as_str())).collect();
            Failure::new(Code::VERSION, "incompatible CNI versions")
                .with_details(format!("config is {text:?}, plugin supports [{}]", spoken.join(" ")))
        })
    }
}

/// The answer to VERSION: it echoes the version that was asked with, if we speak it, else names the newest.
/// What cannot be read asks for nothing.
#[must_use]
pub fn answer(stdin: &[u8]) -> Value {
    let asked = serde_json::from_slice::<Value>(stdin).ok();
    let asked = asked.as_ref().and_then(|value| value.get("cniVersion")).and_then(Value::as_str);
    let echoed = asked.and_then(|text| SpecVersion::ALL.into_iter().find(|v| v.as_str() == text));
    json!({
        "cniVersion": echoed.unwrap_or(SpecVersion::V110).as_str(),
        "supportedVersions": SpecVersion::ALL.map(SpecVersion::as_str),
    })
}

#[cfg(test)]
mod tests {
    use super::{SpecVersion, answer};

    #[test]
    fn version_echoes_what_it_speaks() {
        assert_eq!(answer(br#"{"cniVersion":"0.4.0"}"#)["cniVersion"], "0.4.0");
        for unspoken in [&br#"{"cniVersion":"9.9.9"}"#[..], b"not JSON", b"", b"[]", br#"{"cniVersion":4}"#] {
            assert_eq!(answer(unspoken)["cniVersion"], "1.1.0");
        }
        assert_eq!(
            answer(b"{}")["supportedVersions"].to_string(),
            r#"["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]"#
        );
    }

    #[test]
    fn a_version_is_matched_to_the_letter() {
        assert_eq!(SpecVersion::of_config(""), Ok(SpecVersion::V010));
        assert_eq!(SpecVersion::of_config("1.1.0"), Ok(SpecVersion::V110));
        for text in [" 0.3.1", "0.3", "9.9.9", "v1.0.0", "1.2.0"] {
            let refused = SpecVersion::of_config(text).unwrap_err();
            assert_eq!((refused.code.0, refused.msg.as_str()), (1, "incompatible CNI versions"));
            assert!(
                refused.details.starts_with(&format!("config is \"{text}\", plugin supports [\"0.1.0\" "))
            );
        }
    }
}
