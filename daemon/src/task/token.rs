//! By what an agent may speak of its own attempt.

use std::{fmt, fmt::Write as _, hint::black_box, str::FromStr};

use sha2::{Digest as _, Sha256};

use super::id::Nonce;

/// The variable in which an agent finds the token of its attempt.
pub const TOKEN: &str = "AGENTD_TOKEN";

/// Proves that whoever shows it was started for an attempt.
///
/// It is a digest of the attempt's nonce: an agent is given it, and whoever
/// knows the nonce can speak as the runner. It does not follow from the marker
/// either, which is another digest of the nonce. It is no secret from processes
/// of the same user, who can read the environment of each other.
#[derive(Clone, Copy)]
pub struct Token([u8; 32]);

/// A text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token has 64 hexadecimal digits")]
pub struct ParseTokenError;

impl Token {
    /// That of the attempt with this nonce.
    #[must_use]
    pub fn of(nonce: Nonce) -> Self {
        let mut hash = Sha256::new();
        // Nothing else that is made of a nonce can have the same digest.
        hash.update(b"agentd report\0");
        hash.update(nonce.0);
        Self(hash.finalize().into())
    }

    /// Whether both are the same. Takes as long whatever they are: nobody finds
    /// it out piece by piece.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        let differs = pairs.fold(0, |differs, (a, b)| black_box(differs | (a ^ b)));
        differs == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// As it is given to the agent.
    #[must_use]
    pub fn to_hex(self) -> String {
        let mut text = String::with_capacity(2 * self.0.len());
        for byte in self.0 {
            write!(text, "{byte:02x}").expect("a string takes whatever is written");
        }
        text
    }
}

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let mut token = [0; 32];
        if text.len() != 2 * token.len() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ParseTokenError);
        }
        for (byte, at) in token.iter_mut().zip((0..).step_by(2)) {
            let digits = text.get(at..at + 2).ok_or(ParseTokenError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ParseTokenError)?;
        }
        Ok(Self(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_that_of_its_nonce_only() {
        let token = Token::of(Nonce([1; 16]));
        assert!(token.is(&token.to_hex().parse().unwrap()));
        assert!(token.is(&token.to_hex().to_uppercase().parse().unwrap()));
        for bit in 0..128 {
            let mut nonce = Nonce([1; 16]);
            nonce.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!token.is(&Token::of(nonce)));
        }
        for at in 0..32 {
            let mut other = token;
            other.0[at] ^= 0x80;
            assert!(!token.is(&other), "byte {at}");
        }
    }

    #[test]
    fn it_shows_neither_itself_nor_its_nonce() {
        let nonce = Nonce([0xab; 16]);
        let token = Token::of(nonce);
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(!token.to_hex().contains(&nonce.to_hex()));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let long = "0".repeat(65);
        let sign = format!("+{}", "0".repeat(63));
        let wide = "é".repeat(32);
        for bad in ["", "00", &long, &sign, &wide] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
