//! Values of options that need a parser of their own.

use std::collections::BTreeMap;

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
    let amount = |(name, value): (String, String)| match value.parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount >= 0.0 => Ok((name, amount)),
        _ => Err(format!("`{name}={value}`: not an amount from 0 up")),
    };
    pairs(text)?.into_iter().map(amount).collect()
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
    fn pairs_are_named_once() {
        let two = [("a".to_owned(), 1.0), ("b".to_owned(), 0.5)];
        assert_eq!(amounts("a=1, b=0.5,"), Ok(BTreeMap::from(two)));
        for text in ["a", "=1", "a=1,a=2", "a=x", "a=-1", "a=nan"] {
            assert!(amounts(text).is_err(), "{text}");
        }
        assert_eq!(pairs("zone=eu"), Ok([("zone".into(), "eu".into())].into()));
    }
}
