//! The Unicode and ASCII forms of an internationalized domain (RFC 3492).

/// The domain with each of its labels in the other form.
pub(super) fn other_form(domain: &str) -> String {
    by_label(domain, |label| match code(label) {
        Some(code) => decode(&code),
        None => ascii(label),
    })
}

/// The domain in lower case and in its ASCII form.
pub(super) fn to_ascii(domain: &str) -> String {
    by_label(&domain.to_lowercase(), ascii)
}

fn by_label(domain: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let labels = domain.split('.').map(|label| change(label).unwrap_or_else(|| label.to_owned()));
    labels.collect::<Vec<_>>().join(".")
}

/// The code after the `xn--` of a label.
fn code(label: &str) -> Option<String> {
    label.to_lowercase().strip_prefix("xn--").map(str::to_owned)
}

fn ascii(label: &str) -> Option<String> {
    if label.is_ascii() {
        return None;
    }
    encode(&label.to_lowercase()).map(|code| format!("xn--{code}"))
}

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const FIRST_BIAS: u32 = 72;
const FIRST_CODE: u32 = 128;

/// The bias adaptation of section 6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut steps = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        steps += BASE;
    }
    steps + (BASE - T_MIN + 1) * delta / (delta + 38)
}

fn threshold(step: u32, bias: u32) -> u32 {
    step.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

/// The encoding of section 6.3; `None` if it overflows.
fn encode(label: &str) -> Option<String> {
    let points: Vec<u32> = label.chars().map(u32::from).collect();
    let mut code: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(code.len()).ok()?;
    if basic > 0 {
        code.push('-');
    }
    let (mut next, mut delta, mut bias, mut done) = (FIRST_CODE, 0_u32, FIRST_BIAS, basic);
    while let Some(least) = points.iter().copied().filter(|point| *point >= next).min() {
        delta = delta.checked_add((least - next).checked_mul(done + 1)?)?;
        next = least;
        for point in &points {
            if *point < next {
                delta = delta.checked_add(1)?;
            } else if *point == next {
                let (mut rest, mut step) = (delta, BASE);
                loop {
                    let threshold = threshold(step, bias);
                    if rest < threshold {
                        break;
                    }
                    code.push(digit(threshold + (rest - threshold) % (BASE - threshold))?);
                    rest = (rest - threshold) / (BASE - threshold);
                    step += BASE;
                }
                code.push(digit(rest)?);
                bias = adapt(delta, done + 1, done == basic);
                delta = 0;
                done += 1;
            }
        }
        delta = delta.checked_add(1)?;
        next += 1;
    }
    Some(code)
}

fn digit(value: u32) -> Option<char> {
    char::from_digit(if value < 26 { value + 10 } else { value - 26 }, BASE)
}

/// The decoding of section 6.2; `None` if the code is invalid.
fn decode(code: &str) -> Option<String> {
    let (basic, digits) = code.rsplit_once('-').unwrap_or(("", code));
    let mut label: Vec<char> = basic.chars().collect();
    let (mut next, mut at, mut bias) = (FIRST_CODE, 0_u32, FIRST_BIAS);
    let mut digits = digits.chars();
    while let Some(first) = digits.next() {
        let (before, mut weight, mut step, mut character) = (at, 1_u32, BASE, first);
        loop {
            let value = character.to_digit(BASE)?;
            let value = if value < 10 { value + 26 } else { value - 10 };
            at = at.checked_add(value.checked_mul(weight)?)?;
            let threshold = threshold(step, bias);
            if value < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
            step += BASE;
            character = digits.next()?;
        }
        let length = u32::try_from(label.len()).ok()? + 1;
        bias = adapt(at - before, length, before == 0);
        next = next.checked_add(at / length)?;
        at %= length;
        label.insert(usize::try_from(at).ok()?, char::from_u32(next)?);
        at += 1;
    }
    Some(label.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_converted_to_the_other_form_and_back() {
        // The last two are examples of RFC 3492, 7.1.
        for (unicode, ascii) in [
            ("müller.de", "xn--mller-kva.de"),
            ("bücher.example.com", "xn--bcher-kva.example.com"),
            ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
            ("почемужеонинеговорятпорусски", "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l"),
        ] {
            assert_eq!(other_form(unicode), ascii);
            assert_eq!(other_form(ascii), unicode);
            assert_eq!(to_ascii(&unicode.to_uppercase()), ascii);
        }
        for same in ["example.com", "xn--999999999999", "xn--ü"] {
            assert!(!other_form(same).is_empty());
        }
        assert_eq!(other_form("example.com"), "example.com");
    }
}
