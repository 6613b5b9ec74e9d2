//! [`Value`]: what a parameter's text says (`spec/agent.md` 2.2).

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use margay_net::Ip;

use super::{Host, Kind, Parameter};

/// The longest time that Go's nanoseconds hold.
const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// How many mark bits upstream needs.
const MARK_BITS: u32 = 4;

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Seconds`] and [`Kind::Millis`].
    Time(Duration),
    /// Of everything that stays a text; empty = not set.
    Text(String),
    /// Of [`Kind::Interfaces`] and [`Kind::Endpoints`].
    List(Vec<String>),
    /// Of [`Kind::Ports`].
    Ports(Vec<FailsafePort>),
    /// Of [`Kind::Address`].
    Address(Option<IpAddr>),
    /// Of [`Kind::MarkMask`].
    Mask(u32),
}

/// A protocol that failsafe ports have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailsafeProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port that host endpoints never close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailsafePort {
    /// The protocol.
    pub protocol: FailsafeProtocol,
    /// The port.
    pub port: u16,
}

/// The text is no value of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ValueError {
    /// What is wrong with it.
    pub what: String,
}

// === impl Value ===

impl Value {
    /// Reads a text, which is neither empty nor `none`.
    ///
    /// # Errors
    /// It is no value of the kind.
    pub fn parse(kind: Kind, text: &str, host: Host<'_>) -> Result<Self, ValueError> {
        match kind {
            Kind::Bool => parse_bool(text).map(Self::Bool),
            Kind::Int(least, most) => parse_int(text, least, most).map(Self::Int),
            Kind::Seconds => parse_time(text, 1.0).map(Self::Time),
            Kind::Millis => parse_time(text, 0.001).map(Self::Time),
            Kind::OneOf(words) => parse_word(text, words).map(Self::Text),
            Kind::MarkMask => parse_mask(text).map(Self::Mask),
            Kind::Interfaces => parse_interfaces(text).map(Self::List),
            Kind::Authority => parse_authority(text).map(Self::Text),
            Kind::Hostname => parse_hostname(text).map(Self::Text),
            Kind::Endpoints => parse_endpoints(text).map(Self::List),
            Kind::Ports => parse_ports(text).map(Self::Ports),
            Kind::Address => match text.parse::<Ip>() {
                Ok(address) => Ok(Self::Address(Some(address.into()))),
                Err(_) => fault("invalid IP address"),
            },
            Kind::File => Ok(Self::Text(text.to_owned())),
            Kind::ExistingFile if !(host.exists)(Path::new(text)) => fault("failed to access file"),
            Kind::ExistingFile => Ok(Self::Text(text.to_owned())),
            // Nothing is started, so where the program would be found is of no interest.
            Kind::Executable if text.contains('/') && !(host.exists)(Path::new(text)) => {
                fault("missing file")
            }
            Kind::Executable => Ok(Self::Text(text.to_owned())),
            Kind::Text if text.contains('\n') => fault("invalid string: it has several lines"),
            Kind::Text => Ok(Self::Text(text.to_owned())),
        }
    }

    /// The value of `none`.
    #[must_use]
    pub fn zero(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(false),
            Kind::Int(..) => Self::Int(0),
            Kind::Seconds | Kind::Millis => Self::Time(Duration::ZERO),
            Kind::MarkMask => Self::Mask(0),
            Kind::Interfaces | Kind::Endpoints => Self::List(Vec::new()),
            Kind::Ports => Self::Ports(Vec::new()),
            Kind::Address => Self::Address(None),
            Kind::OneOf(_)
            | Kind::Authority
            | Kind::Hostname
            | Kind::File
            | Kind::ExistingFile
            | Kind::Executable
            | Kind::Text => Self::Text(String::new()),
        }
    }

    /// The value of the table.
    #[must_use]
    pub fn of_default(row: &Parameter, host: Host<'_>) -> Self {
        if row.default.is_empty() {
            return Self::zero(row.kind);
        }
        Self::parse(row.kind, row.default, host)
            .expect("every default of the table is a value: a test reads all")
    }
}

impl fmt::Display for Value {
    /// As it could be written; nothing for what is not set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Time(value) => write!(f, "{}", value.as_secs_f64()),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => f.write_str(&values.join(",")),
            Self::Ports(values) => {
                let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(","))
            }
            Self::Address(value) => value.map_or(Ok(()), |address| write!(f, "{address}")),
            Self::Mask(value) => write!(f, "{value:#010x}"),
        }
    }
}

impl fmt::Display for FailsafePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            FailsafeProtocol::Tcp => "tcp",
            FailsafeProtocol::Udp => "udp",
        };
        write!(f, "{protocol}:{}", self.port)
    }
}

// === helpers ===

fn fault<T>(what: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError { what: what.into() })
}

fn parse_bool(text: &str) -> Result<bool, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "t" => Ok(true),
        "false" | "0" | "no" | "n" | "f" => Ok(false),
        _ => fault("invalid boolean"),
    }
}

/// A number as Go reads it in base 0, before it knew `0b` and `0o`.
fn parse_number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from(u64::from_str_radix(digits, radix).ok()?);
    i64::try_from(if negative { -number } else { number }).ok()
}

fn parse_int(text: &str, least: i64, most: i64) -> Result<i64, ValueError> {
    match parse_number(text) {
        None => fault("invalid int"),
        Some(value) if value < least => fault(format!("value must be at least {least}")),
        Some(value) if value > most => fault(format!("value must be at most {most}")),
        Some(value) => Ok(value),
    }
}

/// COMPAT(time-values): infinities and what is no number are refused; upstream makes some time of them. Negative times
/// are 0.
fn parse_time(text: &str, unit: f64) -> Result<Duration, ValueError> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            let seconds = (number * unit).clamp(0.0, LONGEST.as_secs_f64());
            Ok(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST))
        }
        _ => fault("invalid float"),
    }
}

fn parse_word(text: &str, words: &[&str]) -> Result<String, ValueError> {
    match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
        Some(word) => Ok((*word).to_owned()),
        None => fault(format!("unknown option; options are {}", words.join(", "))),
    }
}

/// COMPAT(mark-bits): upstream takes two bits and stops at the start with fewer than four.
fn parse_mask(text: &str) -> Result<u32, ValueError> {
    match parse_number(text).map(u32::try_from) {
        Some(Ok(mask)) if mask.count_ones() >= MARK_BITS => Ok(mask),
        Some(Ok(_)) => fault(format!("invalid mark: needs to have {MARK_BITS} bits set")),
        _ => fault("invalid mark: should be 32-bit int"),
    }
}

fn parse_interfaces(text: &str) -> Result<Vec<String>, ValueError> {
    let good = |name: &str| {
        (1..=15).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    if text.split(',').all(good) {
        Ok(text.split(',').map(str::to_owned).collect())
    } else {
        fault("invalid Linux interface name")
    }
}

fn parse_authority(text: &str) -> Result<String, ValueError> {
    let good = text.split_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains('/')
            && !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    if good { Ok(text.to_owned()) } else { fault("invalid URL authority: expected host:port") }
}

fn parse_hostname(text: &str) -> Result<String, ValueError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if text.bytes().all(good) { Ok(text.to_owned()) } else { fault("invalid hostname") }
}

fn parse_endpoints(text: &str) -> Result<Vec<String>, ValueError> {
    let mut urls: Vec<String> = Vec::new();
    let mut common: Option<String> = None;
    for part in text.split(',').map(|part| part.trim_matches(' ')).filter(|part| !part.is_empty()) {
        let Some((scheme, rest)) = part.split_once("://") else {
            return fault("an endpoint is not a valid URL; expected http(s)://hostname:port only");
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return fault("an endpoint is not a valid URL; expected http(s)://hostname:port only");
        }
        if *common.get_or_insert_with(|| scheme.clone()) != scheme {
            return fault("all endpoints must have the same scheme");
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // The text is not repeated: a URL may hold a password.
        let odd = |c: char| matches!(c, '/' | '?' | '#' | '@' | '\\') || c.is_whitespace() || c.is_control();
        if authority.is_empty() || authority.contains(odd) {
            return fault("an endpoint has an unsupported URL part; expected http(s)://hostname:port only");
        }
        urls.push(format!("{scheme}://{authority}/"));
    }
    Ok(urls)
}

fn parse_ports(text: &str) -> Result<Vec<FailsafePort>, ValueError> {
    let parts = text.split(',').map(|part| part.trim_matches(' ')).filter(|part| !part.is_empty());
    parts.map(parse_port).collect()
}

fn parse_port(text: &str) -> Result<FailsafePort, ValueError> {
    let (protocol, number) = text.split_once(':').unwrap_or(("tcp", text));
    if number.contains(':') {
        return fault("ports should be <protocol>:<number> or <number>");
    }
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => FailsafeProtocol::Tcp,
        "udp" => FailsafeProtocol::Udp,
        other => return fault(format!("unknown protocol: {other}")),
    };
    match number.parse::<i64>().map(u16::try_from) {
        Ok(Ok(port)) => Ok(FailsafePort { protocol, port }),
        Ok(Err(_)) => fault("ports must be in range 0-65535"),
        Err(_) => fault("ports should be integers"),
    }
}
