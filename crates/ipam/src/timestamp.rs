//! Moments as Go prints them, which is how they are noted with addresses (`spec/ipam.md` 9).

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// The text of a moment: `2026-01-02 03:04:05.000000006 +0000 UTC`.
#[must_use]
pub fn timestamp(moment: SystemTime) -> String {
    let moment = Timestamp::try_from(moment).unwrap_or(Timestamp::UNIX_EPOCH);
    let time = TimeZone::UTC.to_datetime(moment);
    let date = format!("{:04}-{:02}-{:02}", time.year(), time.month(), time.day());
    let clock = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    // Go leaves trailing zeros out, and the point with them.
    let fraction = format!(".{:09}", time.subsec_nanosecond());
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{date} {clock}{fraction} +0000 UTC")
}

/// Reads such a text, in UTC; what stands behind it, as Go's monotonic clock, is left out.
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<SystemTime> {
    let mut words = text.split(' ');
    let (date, clock, zone) = (words.next()?, words.next()?, words.next()?);
    if zone != "+0000" {
        return None;
    }
    let time: DateTime = format!("{date}T{clock}").parse().ok()?;
    let moment = TimeZone::UTC.to_timestamp(time).ok()?;
    SystemTime::try_from(moment).ok()
}

/// True when a text names a moment less than `age` before `now`, or, as hosts' clocks differ, not much behind it.
pub(crate) fn is_younger(text: &str, age: Duration, now: SystemTime) -> bool {
    parse_timestamp(text).is_some_and(|moment| match now.duration_since(moment) {
        Ok(passed) => passed < age,
        Err(ahead) => ahead.duration() < age * 10,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{is_younger, parse_timestamp, timestamp};

    #[test]
    fn moments_are_written_as_go_does_and_read_back() {
        for (nanoseconds, text) in [
            (0, "1970-01-01 00:00:00 +0000 UTC"),
            (1_511_827_353_000_000_007, "2017-11-28 00:02:33.000000007 +0000 UTC"),
            (1_511_827_353_120_000_000, "2017-11-28 00:02:33.12 +0000 UTC"),
        ] {
            let moment = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
            assert_eq!(timestamp(moment), text);
            assert_eq!(parse_timestamp(text), Some(moment));
        }
        let monotonic = "2017-11-28 00:02:33.12 +0000 UTC m=+0.012";
        assert_eq!(parse_timestamp(monotonic), parse_timestamp("2017-11-28 00:02:33.12 +0000 UTC"));
        for nonsense in ["", "now", "2017-11-28 00:02:33 +0200 CEST", "2017-13-28 00:02:33 +0000 UTC"] {
            assert_eq!(parse_timestamp(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn an_age_ends_when_it_is_reached() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let at = |seconds| timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let minute = Duration::from_secs(60);
        assert!(is_younger(&at(41), minute, now) && is_younger(&at(200), minute, now));
        assert!(!is_younger(&at(40), minute, now) && !is_younger("?", minute, now));
        assert!(!is_younger(&at(700), minute, now));
    }
}
