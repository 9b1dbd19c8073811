//! Values of options that need a parser of their own.

use std::collections::BTreeMap;

use ray_core::control::Client;

/// More of anything is a typing error.
const AMOUNT_MAX: f64 = 1e9;

/// Reads a size: bytes, or a number with K, M, G or T (powers of 1024), with or without `iB` or `B`.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size such as 4096, 512MiB or 8G");
    let at = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = unit.trim().to_ascii_uppercase();
    let power = match unit.trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * 1024f64.powi(power);
    if bytes.is_finite() && bytes < u64::MAX as f64 {
        Ok(bytes as u64)
    } else {
        Err(wrong())
    }
}

/// Reads a text that says something: an empty one comes from a variable that is not set.
pub fn text(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("it is empty; is a variable not set?".into()),
        false => Ok(text.to_owned()),
    }
}

/// Reads the address of a head.
pub fn address(text: &str) -> Result<String, String> {
    match Client::check_address(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads an amount of a resource.
pub fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(amount) if (0.0..=AMOUNT_MAX).contains(&amount) => Ok(amount),
        _ => Err(format!("`{text}` is not an amount from 0 to {AMOUNT_MAX}")),
    }
}

/// Reads a span of time: a whole number of seconds, minutes, hours or days.
pub fn span(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not of the form 90s, 15m, 8h, 7d");
    let unit_at = text.len().saturating_sub(1);
    let (number, unit) = text.split_at_checked(unit_at).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let total = number.checked_mul(seconds).filter(|total| *total > 0);
    total.ok_or_else(wrong)
}

/// Reads `name=value,name=value`.
pub fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let pair = part.split_once('=');
        let (name, value) =
            pair.ok_or_else(|| format!("`{part}` is not of the form name=value"))?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        if name.is_empty() {
            return Err(format!("`{part}` has no name"));
        }
        if pairs.insert(name.clone(), value).is_some() {
            return Err(format!("`{name}` is given twice"));
        }
    }
    Ok(pairs)
}

/// Reads `name=number,name=number`.
pub fn amounts(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let named = |(name, value): (String, String)| match amount(&value) {
        Ok(amount) => Ok((name, amount)),
        Err(wrong) => Err(format!("{name}: {wrong}")),
    };
    pairs(text)?.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, bytes) in [
            ("4096", 4096),
            ("1K", 1024),
            ("512MiB", 512 << 20),
            ("8G", 8 << 30),
            ("1.5gb", 3 << 29),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1", "1X", "1e400", "9999999999T", "é"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_amount_is_a_number_from_nothing_up() {
        assert_eq!(amount("0.5"), Ok(0.5));
        for wrong in ["-1", "nan", "inf", "1e300", "two", ""] {
            assert!(amount(wrong).is_err(), "{wrong}");
        }
        assert!(text("").is_err() && text(" ").is_err() && text("n1").is_ok());
        assert!(address("head:6379").is_ok() && address("head").is_ok());
        for wrong in ["", "head:99999", "head:port", "a b:1", "http://head:1"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pairs_are_named_once() {
        let two = [("a".to_owned(), 1.0), ("b".to_owned(), 0.5)];
        assert_eq!(amounts("a=1, b=0.5,"), Ok(BTreeMap::from(two)));
        for text in ["a", "=1", "a=1,a=2", "a=x", "a=-1", "a=nan"] {
            assert!(amounts(text).is_err(), "{text}");
        }
        assert_eq!(pairs("zone=eu"), Ok([("zone".into(), "eu".into())].into()));
    }
}
