//! Dates and times of directory entries (FAT 1.03, "FAT Directory Structure", "Date and Time Formats").

use tree::Time;

/// Date, time in units of two seconds, and hundredths within the two seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Years since 1980 (7 bits), month (4), day (5).
    pub date: u16,
    /// Hours (5 bits), minutes (6), seconds / 2 (5).
    pub time: u16,
    /// Hundredths of a second, 0 to 199.
    pub hundredths: u8,
}

/// 1980-01-01T00:00:00Z.
const FIRST: i64 = 315_532_800;
/// 2107-12-31T23:59:59Z.
const LAST: i64 = 4_354_819_199;

impl From<Time> for Stamp {
    /// Converts to UTC; times before 1980 become the first and those after 2107 the last possible.
    fn from(time: Time) -> Self {
        let seconds = time.seconds.clamp(FIRST, LAST);
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let hundredths = if time.seconds == seconds {
            (second % 2) * 100 + i64::from(time.nanoseconds.min(999_999_999) / 10_000_000)
        } else {
            0
        };
        // All within their fields because of the clamp.
        Stamp {
            date: ((year - 1980) << 9 | month << 5 | day) as u16,
            time: ((second / 3600) << 11 | (second / 60 % 60) << 5 | (second % 60 / 2)) as u16,
            hundredths: hundredths as u8,
        }
    }
}

/// Returns year, month and day of a number of days since 1970 (Gregorian calendar). Years are
/// counted from March, so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(seconds: i64) -> (u16, u16, u16, u16, u16, u16) {
        let stamp = Stamp::from(Time::from_seconds(seconds));
        let (d, t) = (stamp.date, stamp.time);
        (1980 + (d >> 9), d >> 5 & 15, d & 31, t >> 11, t >> 5 & 63, (t & 31) * 2)
    }

    #[test]
    fn known_times() {
        assert_eq!(fields(0), (1980, 1, 1, 0, 0, 0));
        assert_eq!(fields(951_868_799), (2000, 2, 29, 23, 59, 58));
        assert_eq!(fields(1_735_689_600), (2025, 1, 1, 0, 0, 0));
        assert_eq!(fields(i64::MAX), (2107, 12, 31, 23, 59, 58));
    }
}
