//! Elements of DER (X.690), as bytes: the signed part of a certificate is needed exactly as it came, and once
//! more without one extension.

/// Element: tag, length and content.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// Tag.
    pub tag: u8,
    /// Content.
    pub content: &'a [u8],
    /// Tag, length and content, encoded.
    pub bytes: &'a [u8],
}

/// Splits the first element off, and returns the rest and the element.
pub fn split(bytes: &[u8]) -> Option<(&[u8], Element<'_>)> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |len, &digit| len << 8 | usize::from(digit)), rest)
    };
    let (content, after) = rest.split_at_checked(len)?;
    let bytes = bytes.get(..bytes.len() - after.len())?;
    Some((after, Element { tag, content, bytes }))
}

/// Splits bytes into elements.
pub fn elements(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (rest, element) = split(bytes)?;
        elements.push(element);
        bytes = rest;
    }
    Some(elements)
}

/// Encodes an element.
pub fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut bytes = vec![tag];
    if len < 0x80 {
        bytes.push(len as u8);
    } else {
        let digits: Vec<u8> = len.to_be_bytes().into_iter().skip_while(|&digit| digit == 0).collect();
        bytes.push(0x80 | digits.len() as u8);
        bytes.extend(digits);
    }
    bytes.extend_from_slice(content);
    bytes
}
