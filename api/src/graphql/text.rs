//! The text of a document, before it is parsed: a parser goes as deep as the brackets do.

use super::{cost::TooMuch, limits::Limits};
use crate::rest::MAX_BODY;

/// Checks the text.
pub(super) fn check(text: &str, limits: &Limits) -> Result<(), TooMuch> {
    let (mut tokens, mut depth, mut directives) = (0_usize, 0_usize, 0_u64);
    let bytes = text.as_bytes();
    if bytes.len() > MAX_BODY {
        return Err(TooMuch::Bytes(MAX_BODY));
    }
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'#' => at += bytes[at..].iter().take_while(|byte| !b"\r\n".contains(byte)).count(),
            b'{' | b'(' | b'[' => (depth, at) = (depth + 1, at + 1),
            b'}' | b')' | b']' => (depth, at) = (depth.saturating_sub(1), at + 1),
            b'@' => (directives, at) = (directives + 1, at + 1),
            byte if is_of_word(byte) => at += bytes[at..].iter().take_while(|byte| is_of_word(**byte)).count(),
            byte if byte.is_ascii_whitespace() || byte == b',' => {
                at += 1;
                continue;
            }
            _ => at += 1,
        }
        tokens += 1;
        if tokens > limits.tokens {
            return Err(TooMuch::Tokens(limits.tokens));
        }
        if depth > limits.brackets {
            return Err(TooMuch::Brackets(limits.brackets));
        }
        if directives > limits.directives {
            return Err(TooMuch::Directives { found: directives, most: limits.directives });
        }
    }
    Ok(())
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Behind the string that begins there.
fn end_of_string(bytes: &[u8], begin: usize) -> usize {
    let rest = &bytes[begin..];
    if rest.starts_with(b"\"\"\"") {
        // In a block string only three quotes can be escaped.
        let end = rest[2..].windows(4).position(|four| four[0] != b'\\' && four.ends_with(b"\"\"\""));
        return end.map_or(bytes.len(), |end| begin + end + 6);
    }
    let mut escaped = true;
    let end = rest.iter().position(|byte| {
        let is_end = !escaped && (*byte == b'"' || *byte == b'\n');
        // The first quote is no end: it counts as escaped.
        escaped = !escaped && *byte == b'\\';
        is_end
    });
    end.map_or(bytes.len(), |end| begin + end + 1)
}
