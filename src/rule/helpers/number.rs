//! What comes out of numbers?

use rhai::{Array, Dynamic, Module};

use super::{Fallible, function, number_of, order_of};

/// More digits than a float has say nothing.
const MAX_DIGITS: i64 = 15;

pub(super) fn register(library: &mut Module) {
    function("round", library, round);
    function("round", library, |x: i64, _digits: i64| x);
    function("clamp", library, |x: Dynamic, low: Dynamic, high: Dynamic| -> Fallible<Dynamic> {
        let three = [x, low, high];
        let compare = order_of(&three)?;
        let [x, low, high] = three;
        if compare(&low, &high).is_gt() {
            return Err(format!("clamp: {low} is above {high}").into());
        }
        Ok(if compare(&x, &low).is_lt() {
            low
        } else if compare(&x, &high).is_gt() {
            high
        } else {
            x
        })
    });
    function("sum", library, |list: &mut Array| sum(list));
    function("mean", library, |list: &mut Array| -> Fallible<Dynamic> {
        let numbers = numbers(list)?;
        Ok(if numbers.is_empty() { Dynamic::UNIT } else { (numbers.iter().sum::<f64>() / numbers.len() as f64).into() })
    });
    function("median", library, |list: &mut Array| percentile(list, 50.0));
    function("percentile", library, |list: &mut Array, p: Dynamic| percentile(list, number_of(&p)?));
}

fn round(x: f64, digits: i64) -> Fallible<f64> {
    if !(0..=MAX_DIGITS).contains(&digits) {
        return Err(format!("round: {digits} digits; expected 0 to {MAX_DIGITS}").into());
    }
    let scale = 10f64.powi(digits as i32);
    let scaled = (x * scale).round() / scale;
    Ok(if scaled.is_finite() { scaled } else { x })
}

/// An integer if all are, else a float.
fn sum(list: &Array) -> Fallible<Dynamic> {
    if let Some(total) = list.iter().try_fold(0i64, |total, item| total.checked_add(item.as_int().ok()?)) {
        return Ok(total.into());
    }
    Ok(numbers(list)?.iter().sum::<f64>().into())
}

fn percentile(list: &Array, p: f64) -> Fallible<Dynamic> {
    if !(0.0..=100.0).contains(&p) {
        return Err(format!("percentile: {p}; expected 0 to 100").into());
    }
    let mut numbers = numbers(list)?;
    numbers.sort_by(f64::total_cmp);
    let Some(last) = numbers.len().checked_sub(1) else { return Ok(Dynamic::UNIT) };
    let rank = p / 100.0 * last as f64;
    let (below, above) = (numbers[rank.floor() as usize], numbers[rank.ceil() as usize]);
    Ok((below + (above - below) * rank.fract()).into())
}

fn numbers(list: &Array) -> Fallible<Vec<f64>> {
    list.iter().map(number_of).collect()
}
