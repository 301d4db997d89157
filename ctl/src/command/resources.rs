//! What an agent may use of the machine.

use clap::Args;

use super::at_least_one;

/// Limits of the agent's whole process tree, where its control group can be
/// limited.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ResourceArgs {
    /// Memory that the agent and all it starts may use, for example 8GiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<u64>,

    /// How many processes and threads it may have at the same time.
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>)]
    pub(crate) pids: Option<u32>,

    /// How many CPUs it may use, for example 1.5.
    #[arg(long, value_name = "N", value_parser = parse_cpu)]
    pub(crate) cpu: Option<u32>,
}

/// A number with a binary unit; bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "a size is written 512MiB or 8GiB".to_owned();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - unit.len()]
        .parse()
        .map_err(|_| wrong())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "larger than any machine".to_owned())
}

/// A number of CPUs with at most three decimals; thousandths.
fn parse_cpu(text: &str) -> Result<u32, String> {
    let wrong = || "a number of CPUs is written 2 or 0.5".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return Err(wrong());
    }
    let part: u32 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let thousandths = whole.checked_mul(1000).and_then(|n| n.checked_add(part));
    thousandths
        .filter(|&number| number > 0)
        .ok_or_else(|| "more than nothing, and no more than there can be".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("1B"), Ok(1));
        for bad in ["", "8", "GiB", "8GB", "-1GiB", "1.5GiB", "99999999TiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cpus_have_thousandths() {
        for (text, thousandths) in [("2", 2000), ("0.5", 500), ("1.25", 1250)] {
            assert_eq!(parse_cpu(text), Ok(thousandths), "{text}");
        }
        for bad in ["", "0", ".5", "1.", "-1", "1.0005", "1e3", "99999999"] {
            assert!(parse_cpu(bad).is_err(), "{bad}");
        }
    }
}
