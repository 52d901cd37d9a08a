//! Amounts as people write them: `"1.2 Mbit/s"`, `"2 %"`, `"1280x720"`.
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// Bits per second: a whole number, or text with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u32);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let (number, unit) = lower.split_at(digits.unwrap_or(lower.len()));
        let factor = match unit.trim() {
            "" | "bit/s" | "bps" => 1.0,
            "k" | "kbit/s" | "kbps" => 1e3,
            "m" | "mbit/s" | "mbps" => 1e6,
            _ => return Err(format!("`{text}` is no bitrate: write e.g. \"300 kbit/s\" or \"1.2 Mbit/s\"")),
        };
        let number: f64 =
            number.parse().map_err(|_| format!("`{text}` is no bitrate: it begins with no number"))?;
        let bits = number * factor;
        if (1.0..=f64::from(u32::MAX)).contains(&bits) {
            Ok(Self(bits.round() as u32))
        } else {
            Err(format!("`{text}` is out of range: 1 bit/s to 4.2 Gbit/s"))
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bits if bits >= 1_000_000 => write!(f, "{} Mbit/s", f64::from(bits) / 1e6),
            bits if bits >= 1_000 => write!(f, "{} kbit/s", f64::from(bits) / 1e3),
            bits => write!(f, "{bits} bit/s"),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl Visitor<'_> for Amount {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bits per second, e.g. 300000 or \"1.2 Mbit/s\"")
            }

            fn visit_i64<E: de::Error>(self, bits: i64) -> Result<Rate, E> {
                let bits = u32::try_from(bits).ok().filter(|bits| *bits > 0);
                bits.map(Rate).ok_or_else(|| E::custom("a bitrate is between 1 bit/s and 4.2 Gbit/s"))
            }

            fn visit_u64<E: de::Error>(self, bits: u64) -> Result<Rate, E> {
                self.visit_i64(i64::try_from(bits).unwrap_or(0))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Amount)
    }
}

/// Of a hundred: a number, or text with `%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percent(pub(crate) f64);

impl Percent {
    /// 0 to 1.
    pub(crate) fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().trim_end_matches('%').trim_end();
        let number: f64 =
            number.parse().map_err(|_| format!("`{text}` is no percentage: write e.g. \"2 %\""))?;
        if (0.0..=100.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("`{text}` is out of range: 0 % to 100 %"))
        }
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Share;
        impl Visitor<'_> for Share {
            type Value = Percent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage, e.g. 2 or \"2 %\"")
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Percent, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Percent, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Percent, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Percent, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Share)
    }
}

/// Pixels, written `WIDTHxHEIGHT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u16,
    pub(crate) height: u16,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |side: &str| side.trim().parse::<u16>().ok().filter(|pixels| *pixels >= 16);
        let sides = text.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) = sides
            .ok_or_else(|| format!("`{text}` is no size: write e.g. \"1280x720\", 16 pixels at least"))?;
        Ok(Self { width, height })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitrates_are_read_as_people_write_them() {
        for (text, bits) in [
            ("300 kbit/s", 300_000),
            ("1.2Mbit/s", 1_200_000),
            ("64k", 64_000),
            ("2M", 2_000_000),
            ("900", 900),
        ] {
            assert_eq!(text.parse(), Ok(Rate(bits)), "{text}");
        }
        for text in ["", "fast", "1 Tbit/s", "-5", "0", "9999 Mbit/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!(Rate(1_200_000).to_string(), "1.2 Mbit/s");
    }

    #[test]
    fn percentages_are_numbers_with_or_without_their_sign() {
        for (text, percent) in [("2 %", 2.0), ("0.5%", 0.5), ("0", 0.0), ("100 %", 100.0)] {
            assert_eq!(text.parse(), Ok(Percent(percent)), "{text}");
        }
        for text in ["", "%", "much", "-1 %", "100.1", "NaN"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_two_sides() {
        assert_eq!("1280x720".parse(), Ok(Size { width: 1280, height: 720 }));
        for text in ["1280", "1280x", "8x8", "axb", "70000x10"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
