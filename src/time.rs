//! Times of files, and times as text.

use std::time::Duration;

use tree::{Meta, Time};

/// Time of generated files by default, in seconds since 1970: 2017-04-18T16:30:00Z, as in LinuxKit.
pub const DEFAULT: i64 = 1_492_533_000;
/// Last second of the year 9999, which every format can store.
const MAX: i64 = 253_402_300_799;

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: expected a number of hours, days or weeks, such as 12h, 30d or 4w")]
pub struct InvalidDuration(String);

/// A text that is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SOURCE_DATE_EPOCH is {0:?}, which is not a number of seconds up to the year 9999")]
pub struct Invalid(String);

/// Returns metadata of the default time, with root as the owner.
pub fn default_meta(mode: u32) -> Meta {
    Meta::new(mode, Time::from_seconds(DEFAULT))
}

/// Parses seconds since 1970, as in `SOURCE_DATE_EPOCH`.
///
/// # Errors
/// A text that is not a number, and times before 1970 or after 9999.
pub fn parse(text: &str) -> Result<i64, Invalid> {
    let seconds = text.parse().ok().filter(|seconds| (0..=MAX).contains(seconds));
    seconds.ok_or_else(|| Invalid(text.to_owned()))
}

/// Parses a duration: a number with h, d or w.
///
/// # Errors
/// A text that is not a duration.
pub fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let seconds = match text.get(digits.len()..) {
        Some("h") => 3600,
        Some("d") => 86_400,
        Some("w") => 7 * 86_400,
        _ => return Err(invalid()),
    };
    let number: u64 = digits.parse().map_err(|_| invalid())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(invalid)
}

/// Formats seconds since 1970 as in RFC 3339: `2017-04-18T16:30:00Z`.
pub fn rfc3339(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Returns the date of a day counted from 1970-01-01 in the Gregorian calendar. A year is taken to
/// begin in March, so that the odd day stands at its end, and 400 years have 146,097 days.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (month_from_january, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (
        year + era * 400 + next,
        month_from_january,
        day - (153 * month + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::{parse, rfc3339};

    #[test]
    fn only_seconds_are_a_time() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("1700000000"), Ok(1_700_000_000));
        for text in ["-1", "253402300800", "99999999999999999999", "now", "1.5", " 1"] {
            assert!(
                parse(text).is_err_and(|error| error.to_string().contains(text)),
                "{text}"
            );
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_492_533_000, "2017-04-18T16:30:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
