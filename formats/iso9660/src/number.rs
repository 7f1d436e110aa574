//! Numbers and times in the encodings of ISO 9660.

use tree::Time;

/// Encodes a 16-bit number in both byte orders, little first (ECMA-119 7.2.3).
pub(crate) fn both16(value: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (value.to_le_bytes(), value.to_be_bytes());
    [a, b, c, d]
}

/// Encodes a 32-bit number in both byte orders, little first (ECMA-119 7.3.3).
pub(crate) fn both32(value: u32) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (value.to_le_bytes(), value.to_be_bytes());
    [a, b, c, d, e, f, g, h]
}

/// Time by the calendar, in UTC.
struct Calendar {
    year: i64,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

/// Number of seconds in a day.
const DAY: i64 = 86_400;

impl Calendar {
    /// Converts a time; one outside of the years becomes their first or last second.
    fn new(time: Time, first_year: i64, last_year: i64) -> Self {
        // Limits the arithmetic below to years far beyond 0 to 9999.
        let seconds = time.seconds.clamp(-100_000 * 366 * DAY, 100_000 * 366 * DAY);
        let (mut days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Eras of 400 years of 146,097 days, counted from 0000-03-01, which is 719,468 days
        // before 1970-01-01: so the leap day is the last of its year.
        days += 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let (year, month, day, rest) = if year < first_year {
            (first_year, 1, 1, 0)
        } else if year > last_year {
            (last_year, 12, 31, DAY - 1)
        } else {
            (year, month, day_of_year - (153 * march_month + 2) / 5 + 1, rest)
        };
        Calendar {
            year,
            month: month as u8,
            day: day as u8,
            hour: (rest / 3_600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }
}

/// Encodes date and time of a directory record (ECMA-119 9.1.5): 7 bytes, UTC, 1900 to 2155.
pub(crate) fn short_time(time: Time) -> [u8; 7] {
    let at = Calendar::new(time, 1900, 2155);
    let year = (at.year - 1900) as u8;
    [year, at.month, at.day, at.hour, at.minute, at.second, 0]
}

/// Encodes date and time of a volume descriptor (ECMA-119 8.4.26.1): 16 digits and the time zone, UTC.
pub(crate) fn long_time(time: Time) -> Vec<u8> {
    let at = Calendar::new(time, 1, 9999);
    let hundredths = time.nanoseconds / 10_000_000 % 100;
    let mut text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}{hundredths:02}",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    )
    .into_bytes();
    text.push(0);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds| short_time(Time::from_seconds(seconds));
        assert_eq!(at(0), [70, 1, 1, 0, 0, 0, 0]);
        assert_eq!(at(951_782_400), [100, 2, 29, 0, 0, 0, 0]);
        assert_eq!(at(1_492_533_001), [117, 4, 18, 16, 30, 1, 0]);
        assert_eq!(at(-1), [69, 12, 31, 23, 59, 59, 0]);
        assert_eq!(at(i64::MIN), [0, 1, 1, 0, 0, 0, 0]);
        assert_eq!(at(i64::MAX), [255, 12, 31, 23, 59, 59, 0]);
        assert_eq!(long_time(Time::from_seconds(1_492_533_001)), b"2017041816300100\0");
    }
}
