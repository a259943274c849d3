//! Protobuf's own encoding. <https://protobuf.dev/programming-guides/encoding/>

use super::Unreadable;

/// What a field holds, before it is known what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    /// A number, or the bits of one.
    Number(u64),
    /// A text, bytes, or a message.
    Bytes(&'a [u8]),
}

impl Scalar<'_> {
    /// As text; empty for a number.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(_) => String::new(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

/// A number, and what follows it.
pub(super) fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Unreadable> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((number, &bytes[index + 1..]));
        }
    }
    Err(Unreadable::Short)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Unreadable> {
    bytes.split_first_chunk::<N>().map(|(fixed, rest)| (*fixed, rest)).ok_or(Unreadable::Short)
}

fn next(bytes: &[u8]) -> Result<((u64, Scalar<'_>), &[u8]), Unreadable> {
    let (tag, rest) = varint(bytes)?;
    let (scalar, rest) = match tag & 7 {
        0 => varint(rest).map(|(number, rest)| (Scalar::Number(number), rest))?,
        1 => fixed::<8>(rest).map(|(bits, rest)| (Scalar::Number(u64::from_le_bytes(bits)), rest))?,
        2 => {
            let (length, rest) = varint(rest)?;
            let length = usize::try_from(length).map_err(|_| Unreadable::Short)?;
            let (bytes, rest) = rest.split_at_checked(length).ok_or(Unreadable::Short)?;
            (Scalar::Bytes(bytes), rest)
        }
        5 => fixed::<4>(rest).map(|(bits, rest)| (Scalar::Number(u32::from_le_bytes(bits).into()), rest))?,
        other => return Err(Unreadable::WireType(other)),
    };
    Ok(((tag >> 3, scalar), rest))
}

/// The fields of a message, in the order in which they come.
pub(super) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Scalar<'_>), Unreadable>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = next(bytes);
        bytes = field.as_ref().map_or(&[][..], |(_, rest)| *rest);
        Some(field.map(|(field, _)| field))
    })
}
