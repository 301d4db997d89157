//! What holds for any bytes in the files that daemon and runner share.

use super::format::{
    FormatError, ResultFile, decode, decode_identity, decode_launch, decode_result,
    encode_identity, encode_launch, encode_result,
};
use crate::task::attempt::RunResult;

/// A launch, lock or result file is refused, or reads the same after it was written
/// again; a result is nobody's but its nonce's.
pub fn check(data: &[u8]) {
    if let Ok(launch) = decode_launch(data) {
        assert!(!launch.argv.is_empty(), "a launch file without a program");
        let again = encode_launch(&launch).expect("its paths came from JSON");
        assert_eq!(decode_launch(&again).ok().as_ref(), Some(&launch));
    }
    if let Ok(runner) = decode_identity(data) {
        let again = encode_identity(&runner);
        assert_eq!(decode_identity(&again).ok(), Some(runner));
    }
    if let Ok(ResultFile { nonce, result }) = decode(data) {
        let again = encode_result(nonce, &result);
        assert_eq!(decode_result(&again, nonce).ok().as_ref(), Some(&result));
        let mut other = nonce;
        other.0[0] ^= 1;
        assert!(matches!(
            decode_result(&again, other),
            Err(FormatError::Nonce)
        ));
    }
    if let Ok(name) = str::from_utf8(data)
        && let Ok(attempt) = name.parse::<crate::task::id::AttemptId>()
    {
        assert!(attempt.number > 0);
        assert_eq!(attempt.to_string().parse(), Ok(attempt));
    }
}

/// The result in a result file, whosesoever it is.
pub(crate) fn result(data: &[u8]) -> Option<RunResult> {
    decode(data).ok().map(|file: ResultFile| file.result)
}
