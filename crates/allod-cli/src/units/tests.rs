//! Tests of the amounts.

use super::*;

#[test]
fn bytes_read_well() {
    let table = [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (655 << 20, "655.00 MiB"),
        ((1 << 30) + (1 << 28), "1.25 GiB"),
        (u64::MAX, "16384.00 PiB"),
    ];
    for (bytes, text) in table {
        assert_eq!(Bytes(bytes).to_string(), text);
    }
    assert_eq!(format!("{:>10}", Bytes(1024)), "  1.00 KiB");
}

#[test]
fn counts_have_their_thousands_apart() {
    let table = [(0, "0"), (999, "999"), (1000, "1,000"), (91_400_123, "91,400,123")];
    for (count, text) in table {
        assert_eq!(Count(count).to_string(), text);
    }
}

#[test]
fn times_read_well() {
    let table = [
        (0, "0 s"),
        (999, "999 ns"),
        (1_500, "1.5 us"),
        (12_340_000, "12.3 ms"),
        (1_234_000_000, "1.23 s"),
        (192_000_000_000, "3 min 12 s"),
        (7_260_000_000_000, "2 h 01 min"),
    ];
    for (nanos, text) in table {
        assert_eq!(time(Duration::from_nanos(nanos)), text);
    }
}

/// What is printed is read back and added up: a person with a pencil.
fn hundredths(text: &str) -> i128 {
    let number = text.split(' ').next().expect("a number");
    let (whole, part) = number.split_once('.').unwrap_or((number, "00"));
    whole.parse::<i128>().expect("digits") * 100 + part.parse::<i128>().expect("digits")
}

#[test]
fn printed_terms_add_up_to_the_printed_sum() {
    // A fixed sequence of uneven numbers; each step tries another sum.
    let mut state: u64 = 1;
    let mut next = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 20) % limit
    };
    for _ in 0..1000 {
        let terms = [
            (Sign::Plus, Bytes(next(1 << 34) + (1 << 24))),
            (Sign::Plus, Bytes(next(1 << 20))),
            (Sign::Plus, Bytes(next(1 << 12))),
            (Sign::Plus, Bytes(next(1 << 30))),
            (Sign::Minus, Bytes(next(1 << 24))),
        ];
        let sum: i128 = terms.iter().map(|(sign, bytes)| sign.of(bytes.0)).sum();
        let scale = Scale::of(Bytes(u64::try_from(sum).expect("not negative")));
        let (printed, total) = scale.print_sum(&terms);
        let shown: i128 = terms
            .iter()
            .zip(&printed)
            .map(|((sign, _), text)| match sign {
                Sign::Plus => hundredths(text),
                Sign::Minus => -hundredths(text),
            })
            .sum();
        assert_eq!(shown, hundredths(&total), "{printed:?} = {total}");
    }
}
