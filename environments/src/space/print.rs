//! Numbers and arrays as NumPy prints them, so that spaces print as Gymnasium's.

use crate::Dtype;

/// Returns one number as NumPy's `str` writes it.
pub(super) fn scalar(number: f64, dtype: Dtype) -> String {
    if !dtype.is_float() {
        return integer(number, dtype).trim_start().to_owned();
    }
    if !number.is_finite() {
        return not_finite(number);
    }
    let most = if dtype == Dtype::F32 { 1e6 } else { 1e16 };
    if number == 0.0 || (1e-4..most).contains(&number.abs()) {
        return shortest(number, dtype, false);
    }
    let (mantissa, exponent) = scientific(number, dtype);
    let mantissa = mantissa
        .strip_suffix('.')
        .map_or(mantissa.clone(), str::to_owned);
    mantissa + &exponent_text(exponent)
}

/// Returns an array as NumPy's `str` writes it.
pub(super) fn array(numbers: &[f64], shape: &[usize], dtype: Dtype) -> String {
    let cells = if dtype.is_float() {
        floats(numbers, dtype)
    } else {
        let cells = numbers.iter().map(|number| integer(*number, dtype));
        padded(cells.collect())
    };
    nested(&cells, shape, 1)
}

/// Writes rows in brackets, broken where a line would be too long; `depth` brackets are open.
fn nested(cells: &[String], shape: &[usize], depth: usize) -> String {
    let indent = " ".repeat(depth);
    match shape {
        [] => cells.concat(),
        [_] => {
            let (mut text, mut line) = (String::from("["), depth);
            for (at, cell) in cells.iter().enumerate() {
                // One more for the bracket or the space that follows.
                if at > 0 && line + cell.len() + 1 > LINE {
                    text.truncate(text.trim_end().len());
                    text += &format!("\n{indent}");
                    line = depth;
                }
                text += cell;
                line += cell.len() + 1;
                if at + 1 < cells.len() {
                    text.push(' ');
                }
            }
            text + "]"
        }
        [_, inner @ ..] => {
            let size = inner.iter().product::<usize>().max(1);
            let rows = cells.chunks(size).map(|row| nested(row, inner, depth + 1));
            let separator = "\n".repeat(inner.len()) + &indent;
            format!("[{}]", rows.collect::<Vec<_>>().join(&separator))
        }
    }
}

fn integer(number: f64, dtype: Dtype) -> String {
    match dtype {
        Dtype::Bool if number == 0.0 => "False".to_owned(),
        Dtype::Bool => " True".to_owned(),
        _ => format!("{number}"),
    }
}

/// Brings all cells to the width of the widest.
fn padded(cells: Vec<String>) -> Vec<String> {
    let width = cells.iter().map(String::len).max().unwrap_or(0);
    cells
        .into_iter()
        .map(|cell| format!("{cell:>width$}"))
        .collect()
}

fn floats(numbers: &[f64], dtype: Dtype) -> Vec<String> {
    let sizes = || {
        let sizes = numbers.iter().map(|number| number.abs());
        sizes.filter(|size| size.is_finite() && *size > 0.0)
    };
    let (least, most) = sizes().fold((f64::INFINITY, 0.0_f64), |(least, most), size| {
        (least.min(size), most.max(size))
    });
    let is_scientific = most >= 1e8 || (most > 0.0 && (least < 1e-4 || most / least > 1e3));
    let cells = if is_scientific {
        scientific_cells(numbers, dtype)
    } else {
        positional_cells(numbers, dtype)
    };
    padded(cells)
}

/// Writes numbers so that their points lie below each other.
fn positional_cells(numbers: &[f64], dtype: Dtype) -> Vec<String> {
    let fraction = |text: &str| text.split_once('.').map_or(0, |(_, digits)| digits.len());
    let texts = numbers.iter().map(|number| match number.is_finite() {
        true => shortest(*number, dtype, true),
        false => not_finite(*number),
    });
    let texts = texts.collect::<Vec<_>>();
    let finite = texts.iter().filter(|text| text.contains('.'));
    let width = finite.map(|text| fraction(text)).max().unwrap_or(0);
    let pad = |text: String| match text.contains('.') {
        true => {
            let missing = width - fraction(&text);
            text + &" ".repeat(missing)
        }
        false => text,
    };
    texts.into_iter().map(pad).collect()
}

/// Writes numbers with exponents and equally many digits.
fn scientific_cells(numbers: &[f64], dtype: Dtype) -> Vec<String> {
    let parts = numbers.iter().map(|number| match number.is_finite() {
        true => Some(scientific(*number, dtype)),
        false => None,
    });
    let parts = parts.collect::<Vec<_>>();
    let fraction = |mantissa: &str| {
        mantissa
            .split_once('.')
            .map_or(0, |(_, digits)| digits.len())
    };
    let digits = parts
        .iter()
        .flatten()
        .map(|(mantissa, _)| fraction(mantissa));
    let digits = digits.max().unwrap_or(0);
    let cell = |(number, parts): (&f64, &Option<(String, i32)>)| match parts {
        None => not_finite(*number),
        Some((mantissa, exponent)) => {
            let zeros = "0".repeat(digits - fraction(mantissa));
            format!("{mantissa}{zeros}{}", exponent_text(*exponent))
        }
    };
    numbers.iter().zip(&parts).map(cell).collect()
}

fn not_finite(number: f64) -> String {
    match (number.is_nan(), number > 0.0) {
        (true, _) => "nan".to_owned(),
        (false, true) => "inf".to_owned(),
        (false, false) => "-inf".to_owned(),
    }
}

/// Writes the fewest digits that read back as the number, at most eight after the point in arrays.
fn shortest(number: f64, dtype: Dtype, is_in_array: bool) -> String {
    let text = match dtype {
        Dtype::F32 => format!("{}", number as f32),
        _ => format!("{number}"),
    };
    let fraction = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    match (fraction, is_in_array) {
        (0, true) => text + ".",
        (0, false) => text + ".0",
        (9.., true) => {
            let cut = format!("{number:.8}");
            cut.trim_end_matches('0').to_owned()
        }
        _ => text,
    }
}

/// Splits a number into a mantissa with a point and an exponent.
fn scientific(number: f64, dtype: Dtype) -> (String, i32) {
    let write = |digits: Option<usize>| match (dtype, digits) {
        (Dtype::F32, None) => format!("{:e}", number as f32),
        (_, None) => format!("{number:e}"),
        (_, Some(digits)) => format!("{number:.digits$e}"),
    };
    let split = |text: String| {
        let (mantissa, exponent) = text
            .split_once('e')
            .map(|(mantissa, exponent)| (mantissa.to_owned(), exponent.parse().unwrap_or(0)))
            .unwrap_or((text, 0));
        match mantissa.contains('.') {
            true => (mantissa, exponent),
            false => (mantissa + ".", exponent),
        }
    };
    let (mantissa, exponent) = split(write(None));
    if mantissa
        .split_once('.')
        .is_some_and(|(_, digits)| digits.len() > 8)
    {
        let (mantissa, exponent) = split(write(Some(8)));
        return (mantissa.trim_end_matches('0').to_owned(), exponent);
    }
    (mantissa, exponent)
}

fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.abs())
}

/// The longest line of an array; NumPy's default.
const LINE: usize = 75;
