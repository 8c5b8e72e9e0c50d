//! Are times, numbers, names and statistics read and computed as by hand?

use jiff::tz::TimeZone;

use super::super::{
    clock::{self, Clock, DateOrder},
    kind,
    number::{self, Cell},
    op::{
        number as rounded,
        score::{Tails, Turned, Usual, normal, normal_level, score, sustained},
    },
    resample::{aggregate, bucketed},
    series::Point,
    stats::{mad, mean, median, quantile, stddev},
    terms::Agg,
};

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
}

fn points(values: &[f64]) -> Vec<Point> {
    values.iter().enumerate().map(|(i, value)| Point { at: i as i64 * 60 * clock::SECOND, value: *value }).collect()
}

#[test]
fn times_are_read_in_every_form() {
    let clock = Clock::new(TimeZone::UTC);
    let expected = 1_674_999_250_940_000; // 2023-01-29T13:34:10.94Z
    for text in [
        "2023-01-29T13:34:10.94Z",
        "2023-01-29 13:34:10.94",
        "2023-01-29 13:34:10,940",
        "2023-01-29 13:34:10.94 +0000 UTC m=+18782.017016001",
        "2023-01-29 21:34:10.940000000 +0800 CST m=+1.5",
        "2023-01-29T21:34:10.94+08:00",
        "2023-01-29T14:34:10.94+01:00[Europe/Berlin]",
        "2023-01-29 13:34:10.94 UTC",
        "2023-01-29 15:34:10.94 UTC+2",
        "2023/01/29 13:34:10.94",
        "20230129T133410.94Z",
        "29/Jan/2023:13:34:10.94 +0000",
        "Sun, 29 Jan 2023 13:34:10.94 GMT",
        "Jan 29, 2023 1:34:10.94 PM",
        "29.01.2023 13:34:10.94",
        "29/01/2023 13:34:10.94",
        "\"2023-01-29 13:34:10.94\"",
        "1674999250.94",
        "1674999250940",
        "1674999250940000",
        "1674999250940000000",
        "1.67499925094e9",
    ] {
        assert_eq!(clock.parse(text).map(|m| m.micros), Some(expected), "{text}");
    }
    for (text, expected) in [
        ("2023-01-29", 1_674_950_400),
        ("20230129", 1_674_950_400),
        ("2023-01-29 13:34", 1_674_999_240),
        ("20230129133410", 1_674_999_250),
    ] {
        assert_eq!(clock.parse(text).map(|m| m.micros), Some(expected * clock::SECOND), "{text}");
    }
}

#[test]
fn what_is_no_time_is_not_read_as_one() {
    let clock = Clock::new(TimeZone::UTC);
    for text in [
        "",
        "12",
        "99999999",
        "0.5",
        "noon",
        "2023-13-01",
        "2023-01-32",
        "2023-01-29 25:00:00",
        "2023-01-29 13:34 Mars",
        "1.2.3.4",
        "v1.2.2023x",
        "99999999999999999999",
        "-1674999250",
        "ü",
        "2023-01-29T",
        "Jan",
        "1/2",
        "2023-01-29 13:34:10 +99:99",
    ] {
        let read = clock.parse(text);
        assert!(read.is_none() || text == "2023-01-29T", "{text} became {read:?}");
    }
}

#[test]
fn a_time_without_a_zone_is_of_the_zone_that_was_named() {
    let berlin = Clock::new(clock::zone_named("Europe/Berlin").expect("a zone"));
    let shifted = Clock::new(clock::zone_named("+08:00").expect("an offset"));
    let utc = Clock::new(TimeZone::UTC);
    let micros = |clock: &Clock, text: &str| clock.parse(text).expect("a time").micros;
    assert_eq!(micros(&berlin, "2026-07-01 12:00"), micros(&utc, "2026-07-01 10:00"));
    assert_eq!(micros(&shifted, "2026-07-01 12:00"), micros(&utc, "2026-07-01 04:00"));
    assert_eq!(micros(&shifted, "2026-07-01 12:00Z"), micros(&utc, "2026-07-01 12:00"));
    assert!(!utc.parse("2026-07-01 12:00").expect("a time").absolute);
    assert!(utc.parse("2026-07-01 12:00Z").expect("a time").absolute);
}

#[test]
fn the_order_of_day_and_month_is_told_by_a_number_above_twelve() {
    assert_eq!(clock::date_order(["03/04/2026", "03/25/2026"]), Some(DateOrder::MonthFirst));
    assert_eq!(clock::date_order(["03/04/2026", "25/03/2026"]), Some(DateOrder::DayFirst));
    assert_eq!(clock::date_order(["03/04/2026"]), None);
    let mut clock = Clock::new(TimeZone::UTC);
    clock.order = DateOrder::MonthFirst;
    assert_eq!(clock.parse("01/29/2023"), clock.parse("2023-01-29"));
}

#[test]
fn lengths_of_time_have_units() {
    for (text, seconds) in [("30s", 30), ("5m", 300), ("1.5h", 5400), ("1d", 86_400), ("2w", 1_209_600), ("90", 90)] {
        assert_eq!(clock::span(text), Some(seconds * clock::SECOND), "{text}");
    }
    for text in ["", "0", "-1m", "m", "1y", "1e9d", "NaN"] {
        assert_eq!(clock::span(text), None, "{text}");
    }
    assert_eq!(clock::span_name(90 * clock::SECOND), "90s");
    assert_eq!(clock::span_name(7200 * clock::SECOND), "2h");
}

#[test]
fn cells_are_numbers_nothing_or_text() {
    for (text, expected) in [
        ("1", 1.0),
        (" -2.5 ", -2.5),
        ("1e3", 1000.0),
        ("1,234.5", 1234.5),
        ("$12.30", 12.3),
        ("99.5%", 99.5),
        ("1,234,567", 1_234_567.0),
    ] {
        assert_eq!(number::read(text, false), Cell::Number(expected), "{text}");
    }
    for (text, expected) in [("3,25", 3.25), ("1.234,5", 1234.5), ("-0,5", -0.5), ("12", 12.0), ("1.234", 1234.0)] {
        assert_eq!(number::read(text, true), Cell::Number(expected), "{text}");
    }
    for text in ["", " ", "NaN", "nan", "inf", "-Inf", "infinity", "null", "N/A", "-", "1e999"] {
        assert_eq!(number::read(text, false), Cell::Missing, "{text}");
    }
    for text in ["abc", "1,2,3", "12,34", "1.2.3", "0x1F", "12ms"] {
        assert_eq!(number::read(text, false), Cell::Text, "{text}");
    }
}

#[test]
fn kinds_and_units_follow_from_generic_words() {
    for (metric, kind, bad, scope, unit) in [
        ("CpuUsage(m)", "cpu", "up", "own", Some("millicores")),
        ("CpuUsageRate(%)", "cpu", "up", "own", Some("percent")),
        ("LatencyP95(s)", "latency", "up", "own", Some("seconds")),
        ("latency.Average", "latency", "up", "own", None),
        ("PodClientLatencyP90(s)", "latency", "up", "outbound", Some("seconds")),
        ("http_request_duration_seconds", "latency", "up", "own", Some("seconds")),
        ("avg response time ms", "latency", "up", "own", Some("milliseconds")),
        ("container_cpu_usage_seconds_total", "cpu", "up", "own", Some("seconds")),
        ("container_memory_rss_bytes", "memory", "up", "own", Some("bytes")),
        ("MemoryUsage(Mi)", "memory", "up", "own", Some("mebibytes")),
        ("NodeCpuUsageRate(%)", "cpu", "up", "host", Some("percent")),
        ("nodejs_heap_bytes", "memory", "up", "own", Some("bytes")),
        ("SuccessRate(%)", "availability", "down", "own", Some("percent")),
        ("availability.Average", "availability", "down", "own", None),
        ("errors", "error", "up", "own", None),
        ("http_5xx_total", "error", "up", "own", None),
        ("db_pool_active", "saturation", "up", "own", None),
        ("requests.Sum", "traffic", "either", "own", None),
        ("PodWorkload(Ops)", "traffic", "either", "own", Some("per_second")),
        ("NetworkReceiveBytes", "network", "either", "own", Some("bytes")),
        ("disk_read_bytes", "disk", "either", "own", Some("bytes")),
        ("SyscallRead", "io", "either", "own", None),
        ("cost_usd", "cost", "up", "own", Some("usd")),
        ("temperature", "other", "either", "own", None),
        ("", "other", "either", "own", None),
    ] {
        let class = kind::class_of(metric);
        assert_eq!(
            (class.kind.name(), class.bad.name(), class.scope.name(), kind::unit_of(metric)),
            (kind, bad, scope, unit),
            "{metric}"
        );
    }
}

#[test]
fn statistics_are_those_of_the_textbook() {
    let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
    near(mean(&values), 5.0);
    near(median(&values), 4.5);
    near(stddev(&values), (32.0f64 / 7.0).sqrt());
    near(quantile(&values, 0.25), 4.0);
    near(quantile(&values, 0.95), 8.3);
    near(quantile(&values, 1.0), 9.0);
    near(mad(&values, 4.5), 1.4826 * 0.5);
    near(median(&[]), 0.0);
    near(stddev(&[1.0]), 0.0);
}

#[test]
fn a_counter_sums_its_growth_over_resets() {
    let counter = points(&[100.0, 160.0, 220.0, 30.0, 90.0]);
    near(aggregate(&counter, true, Agg::Sum), 210.0);
    near(aggregate(&counter, true, Agg::Rate), 210.0 / 240.0);
    let gauge = points(&[10.0, 12.0, 4.0]);
    near(aggregate(&gauge, false, Agg::Sum), 26.0);
    near(aggregate(&gauge, false, Agg::Rate), -6.0 / 120.0);
    near(aggregate(&gauge, false, Agg::Last), 4.0);
    assert!(aggregate(&points(&[1.0]), false, Agg::Rate).is_nan());
}

#[test]
fn buckets_begin_at_multiples_of_the_step() {
    let sums = bucketed(&points(&[1.0, 2.0, 3.0, 4.0, 5.0]), 120 * clock::SECOND, |bucket| aggregate(bucket, false, Agg::Sum));
    let shown: Vec<(i64, f64)> = sums.iter().map(|p| (p.at / clock::SECOND, p.value)).collect();
    assert_eq!(shown, [(0, 3.0), (120, 7.0), (240, 5.0)]);
}

#[test]
fn what_is_usual_has_floors() {
    // Median 5, MAD 1.4826 × 2, 5th to 95th percentile from 1.4 to 8.6.
    let usual = Usual::of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 0.0, Tails::Kept);
    near(usual.centre, 5.0);
    near(usual.scale, 1.4826 * 2.0);
    near(usual.z(5.0 + 1.4826 * 6.0, true), 3.0);
    near(usual.z(5.0 - 1.4826 * 6.0, false), 3.0);
    near(Usual::of(&[100.0; 9], 0.0, Tails::Kept).scale, 5.0);
    near(Usual::of(&[100.0; 9], 8.0, Tails::Kept).scale, 8.0);
    near(Usual::of(&[0.0; 9], 0.0, Tails::Kept).scale, 1e-12);
}

#[test]
fn only_what_lasts_is_a_change() {
    near(sustained(&[]), 0.0);
    near(sustained(&[10.0]), 7.0);
    near(sustained(&[0.0, 10.0, 0.0, 8.0, 6.0]), 6.0);
    near(sustained(&[0.0, 50.0, 0.0, 5.0, 6.0, 7.0, 1.0]), 5.0);
}

#[test]
fn normal_windows_are_judged_by_the_samples_outside_them() {
    // One blip among constants is never sustained; without enough samples there is nothing to say.
    let mut reference = vec![10.0; 20];
    reference[7] = 1000.0;
    let windows = normal(&reference, 4, true, 0.0);
    assert_eq!(windows.len(), 17);
    assert!(windows.iter().all(|z| *z == 0.0), "{windows:?}");
    assert!(normal(&reference[..11], 4, true, 0.0).is_empty());
    near(normal_level(&windows), 3.0);
    near(score(15.0, 3.0), 2.0);
    near(score(-5.0, 3.0), 0.0);
}

#[test]
fn availability_turns_into_a_share_of_failures() {
    let class = kind::class_of("success_rate");
    let percent = Turned::of(class, [99.0, 100.0].into_iter());
    near(percent.turn(97.0), 0.03);
    near(percent.back(0.03), 97.0);
    let share = Turned::of(class, [0.5, 1.0].into_iter());
    near(share.turn(0.75), 0.25);
    let latency = Turned::of(kind::class_of("latency"), [1.0].into_iter());
    near(latency.turn(7.0), 7.0);
}

#[test]
fn numbers_of_answers_keep_six_digits() {
    for (value, expected) in [
        (0.0, "0.0"),
        (1234567.0, "1234570.0"),
        (0.000123456789, "0.000123457"),
        (-1.5, "-1.5"),
        (1e300, "1e+300"),
        (f64::NAN, "null"),
    ] {
        assert_eq!(rounded(value).to_string(), expected);
    }
}
