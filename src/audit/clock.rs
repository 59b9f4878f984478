//! The wall clock that dates records.

use std::time::Duration;

/// Tells what time it is; tests decide it themselves.
pub(crate) trait Clock: Send + Sync {
    /// The time since 1970-01-01T00:00:00Z, without leap seconds.
    fn now(&self) -> Duration;
}

/// The clock of the operating system. Before 1970 it stands still at zero.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_types, reason = "this is the Clock that everything else takes")]
    fn now(&self) -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }
}

/// `since_epoch` as a UTC date-time with milliseconds (RFC 3339, section 5.6).
pub(super) fn rfc3339(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, of_day) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let millis = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The time that [`rfc3339`] wrote as `text`; what is missing at its end is the beginning of that day, hour or minute.
pub(super) fn parse_rfc3339(text: &str) -> Option<Duration> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, millis) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) =
        (time.next()??, time.next().unwrap_or(Some(0))?, time.next().unwrap_or(Some(0))?);
    let millis = format!("{millis:0<3}").get(..3)?.parse::<u64>().ok()?;
    let valid = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !valid || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // The inverse of `civil`.
    let shifted = year - u64::from(month <= 2);
    let (era, of_era) = (shifted / 400, shifted % 400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    let days = era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let seconds =
        days.checked_sub(DAYS_FROM_MARCH_0000)? * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    Some(Duration::from_secs(seconds) + Duration::from_millis(millis))
}

/// The Gregorian date of the day that is `days` after 1970-01-01.
///
/// Counts in years that begin in March, so that the leap day is a year's last, and in eras of 400 years, after which the calendar repeats.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + DAYS_FROM_MARCH_0000;
    let (era, of_era) = (shifted / DAYS_PER_ERA, shifted % DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

const SECONDS_PER_DAY: u64 = 86_400;
const DAYS_PER_ERA: u64 = 146_097;
const DAYS_FROM_MARCH_0000: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.007Z"),
            (1_709_251_200, "2024-03-01T00:00:00.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds) + Duration::from_millis(7)), expected);
            assert_eq!(
                parse_rfc3339(expected),
                Some(Duration::from_secs(seconds) + Duration::from_millis(7))
            );
        }
    }

    #[test]
    fn a_time_may_be_cut_short_and_nonsense_is_none() {
        assert_eq!(parse_rfc3339("2024-03-01"), Some(Duration::from_secs(1_709_251_200)));
        assert_eq!(parse_rfc3339("2024-03-01T01:30"), Some(Duration::from_secs(1_709_251_200 + 5400)));
        assert_eq!(parse_rfc3339("2024-03-01 01:30:05Z"), Some(Duration::from_secs(1_709_251_200 + 5405)));
        for text in [
            "",
            "yesterday",
            "2024",
            "2024-13-01",
            "2024-01-01T25:00",
            "1969-01-01",
            "2024-01-01T00:00+01:00",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn the_system_clock_is_past_the_day_this_was_written() {
        assert!(SystemClock.now() > Duration::from_secs(1_750_000_000));
    }
}
