//! Pictures made of letters: curves, bars and maps.

use allod_profile::model::{Class, Span};

const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// How full, from hardly to nearly.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];

/// A curve of `columns` letters. Each is the most of the points that it stands for.
pub(super) fn curve(values: &[u64], columns: usize) -> String {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let columns = columns.min(values.len());
    let letter = |i: usize| {
        let part = &values[i * values.len() / columns..(i + 1) * values.len() / columns];
        let value = part.iter().copied().max().unwrap_or(0);
        let step = u128::from(value) * (STEPS.len() as u128 - 1) / u128::from(most);
        STEPS[usize::try_from(step).unwrap_or(0)]
    };
    (0..columns).map(letter).collect()
}

/// How many of `columns` letters each part of a class gets: in use, free, kept by
/// threads, never carved. They add up to `columns`.
pub(super) fn shares(class: &Class, columns: usize) -> [usize; 4] {
    let free = class.carved.saturating_sub(class.in_use + class.cached);
    let whole = class.capacity.max(1);
    let mut ends = [class.in_use, free, class.cached, class.capacity];
    for i in 1..3 {
        ends[i] += ends[i - 1];
    }
    let mut shares = [0; 4];
    let mut before = 0;
    for (share, end) in shares.iter_mut().zip(ends) {
        let place = u128::from(end.min(whole)) * columns as u128 / u128::from(whole);
        let place = usize::try_from(place).unwrap_or(columns).clamp(before, columns);
        *share = place - before;
        before = place;
    }
    shares[3] += columns - before;
    shares
}

/// The spans in the order of their addresses as letters; where there are more of
/// them than room, some share one.
pub(super) fn map(spans: &[Span], columns: usize, rows: usize) -> Vec<String> {
    let room = (columns * rows).max(1);
    let each = spans.len().div_ceil(room).max(1);
    let letters: Vec<char> = spans.chunks(each).map(shade).collect();
    letters.chunks(columns.max(1)).map(|row| row.iter().collect()).collect()
}

fn shade(spans: &[Span]) -> char {
    let bytes: u64 = spans.iter().map(|span| span.bytes).sum();
    let used: u64 = spans.iter().map(|span| span.in_use).sum();
    let percent = u128::from(used) * 100 / u128::from(bytes.max(1));
    match percent {
        90.. => SHADES[4],
        65.. => SHADES[3],
        35.. => SHADES[2],
        10.. => SHADES[1],
        _ => SHADES[0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_show_the_most() {
        assert_eq!(curve(&[0, 7, 14], 3), "▁▄█");
        assert_eq!(curve(&[1, 1, 1, 9, 1, 1], 3), "▁█▁");
        assert_eq!(curve(&[], 10), "");
        assert_eq!(curve(&[0, 0], 10), "▁▁");
    }

    #[test]
    fn shares_fill_the_bar() {
        let class =
            Class { block_size: 64, spans: 1, capacity: 100, carved: 80, in_use: 50, cached: 10 };
        assert_eq!(shares(&class, 10), [5, 2, 1, 2]);
        for columns in 0..40 {
            assert_eq!(shares(&class, columns).iter().sum::<usize>(), columns);
            assert_eq!(shares(&Class::default(), columns).iter().sum::<usize>(), columns);
        }
        // Figures that are read while they change need not agree.
        let torn = Class { in_use: 500, ..class };
        assert_eq!(shares(&torn, 10).iter().sum::<usize>(), 10);
    }

    #[test]
    fn maps_keep_to_their_room() {
        let span = |in_use| Span { address: 0, bytes: 100, in_use, block_size: 8 };
        let spans: Vec<Span> = [0, 20, 50, 70, 100].map(span).to_vec();
        assert_eq!(map(&spans, 5, 1), ["·░▒▓█"]);
        assert_eq!(map(&spans, 3, 2), ["·░▒", "▓█"]);
        assert_eq!(map(&spans.repeat(10), 4, 2).concat().chars().count(), 8);
        assert!(map(&[], 4, 2).is_empty());
    }
}
