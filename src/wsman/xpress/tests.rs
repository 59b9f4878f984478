use std::fs;
use std::path::Path;

use super::{Decoder, XpressError};

fn vector(name: &str) -> (Vec<u8>, Vec<u8>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/xpress");
    let read = |kind| fs::read(folder.join(format!("{name}.{kind}.bin"))).expect("the vector is there");
    (read("xpress"), read("plain"))
}

const VECTORS: [&str; 4] =
    ["small-stored", "incompressible-1k", "psrp-create-pipeline-fragment", "text-100k"];

#[test]
fn every_vector_is_undone() {
    for name in VECTORS {
        let (wire, plain) = vector(name);
        assert!(Decoder::default().decode(&wire).expect(name) == plain, "{name}");
        assert!(Decoder::new(plain.len()).decode(&wire).expect(name) == plain, "{name} at the bound");
        let bound = plain.len() - 1;
        assert_eq!(Decoder::new(bound).decode(&wire), Err(XpressError::TooLarge { limit: bound }), "{name}");
    }
    assert_eq!(Decoder::default().decode(&[]), Ok(Vec::new()), "nothing is nothing");
}

#[test]
fn a_stream_that_is_cut_is_an_error_unless_it_is_cut_between_blocks() {
    for name in VECTORS {
        let (wire, plain) = vector(name);
        let mut whole = 0;
        for length in 1..wire.len() {
            match Decoder::default().decode(&wire[..length]) {
                Ok(decoded) => {
                    whole += 1;
                    assert!(
                        plain.starts_with(&decoded) && decoded.len() % 65_536 == 0,
                        "{name} cut at {length}"
                    );
                }
                Err(error) => assert_eq!(error, XpressError::Truncated, "{name} cut at {length}"),
            }
        }
        assert_eq!(whole, plain.len() / 65_536, "{name}");
    }
}

/// A block whose code has two symbols of one bit each: `0` for the first, `1` for the second.
fn block(symbols: [u16; 2], plain_length: u16, body: &[u8]) -> Vec<u8> {
    let mut lengths = [0_u8; 256];
    for symbol in symbols {
        lengths[usize::from(symbol / 2)] |= 1 << (4 * (symbol % 2));
    }
    let wire_length = u16::try_from(256 + body.len()).expect("short");
    [&(plain_length - 1).to_le_bytes(), &(wire_length - 1).to_le_bytes(), &lengths[..], body].concat()
}

#[test]
fn long_matches_are_read_in_all_three_forms() {
    let decode = |wire: &[u8]| Decoder::default().decode(wire);
    // A literal, then one match with offset 1: the bits `0` and `1`.
    let words = [0x00, 0x40, 0x00, 0x00];
    for (extra, length) in [
        (&[9][..], 9 + 15 + 3),
        (&[255, 0x00, 0x01], 256 + 3),
        (&[255, 0, 0, 0x00, 0x30, 0x00, 0x00], 0x3000 + 3),
    ] {
        let wire = block([0x61, 256 + 15], length + 1, &[&words, extra].concat());
        assert_eq!(decode(&wire), Ok(vec![b'a'; usize::from(length) + 1]), "{length}");
    }
    let wire = block([0x61, 256 + 15], 30, &[&words[..], &[255, 14, 0]].concat());
    assert_eq!(decode(&wire), Err(XpressError::BadMatch), "a long form of a short length");
    let wire = block([0x61, 256 + 15], 9, &[&words[..], &[255, 0, 0, 0xff, 0xff, 0xff, 0xff]].concat());
    assert_eq!(decode(&wire), Err(XpressError::BadMatch), "longer than the block");
    let wire = block([0x61, 256 + 15], 9, &[&words[..], &[255, 0]].concat());
    assert_eq!(decode(&wire), Err(XpressError::Truncated));
}

#[test]
fn a_match_reaches_back_to_the_start_of_its_own_block_only() {
    let stored = [&[2, 0, 2, 0][..], b"abc"].concat();
    let wire = [stored, block([0x61, 256], 4, &[0x00, 0x80, 0, 0])].concat();
    assert_eq!(Decoder::default().decode(&wire), Err(XpressError::BadMatch));
}

#[test]
fn code_lengths_must_be_those_of_one_complete_code() {
    let decode =
        |lengths: [u8; 256]| Decoder::default().decode(&[&[8, 0, 15, 1][..], &lengths, &[0; 16]].concat());
    assert_eq!(decode([0; 256]), Err(XpressError::BadCode), "no code at all");
    assert_eq!(decode([0x11; 256]), Err(XpressError::BadCode), "too many short codes");
    let mut one = [0; 256];
    one[0] = 1;
    assert_eq!(decode(one), Err(XpressError::BadCode), "half a code");
    assert!(decode([0x99; 256]).is_ok(), "512 codes of nine bits each");
}

/// Never panics, never gives more than was declared: pure noise, noise behind honest headers, and vectors with flips.
#[test]
fn three_hundred_thousand_hostile_streams_stay_within_bounds() {
    let vectors: Vec<Vec<u8>> = VECTORS.iter().take(3).map(|name| vector(name).0).collect();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut understood = 0;
    for case in 0..300_000_usize {
        let wire = match case % 3 {
            0 => noise.bytes(700),
            1 => {
                let plain_length = u16::try_from(noise.below(65_536)).expect("16 bits");
                framed((plain_length, noise.bytes(400), case % 4 == 1))
            }
            _ => {
                let mut wire = vectors[noise.below(vectors.len())].clone();
                for _ in 0..=noise.below(4) {
                    let at = noise.below(wire.len());
                    wire[at] = noise.byte();
                }
                wire
            }
        };
        if let Ok(plain) = Decoder::new(200_000).decode(&wire) {
            understood += 1;
            assert!(plain.len() <= 200_000 && Some(plain.len()) == declared(&wire), "case {case}");
        }
    }
    assert!(understood > 1_000, "only {understood} were understood: the noise is too noisy");
}

/// A small generator, the same in every run.
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()[5]
    }

    fn below(&mut self, bound: usize) -> usize {
        (usize::from(self.byte()) << 8 | usize::from(self.byte())) % bound
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..=self.below(most)).map(|_| self.byte()).collect()
    }
}

/// One block with a complete code in front, where `complete` says so.
fn framed((plain_length, mut body, complete): (u16, Vec<u8>, bool)) -> Vec<u8> {
    if complete {
        body = [vec![0x99; 256], body].concat();
    }
    let wire_length = u16::try_from(body.len() - 1).expect("short");
    [&plain_length.to_le_bytes(), &wire_length.to_le_bytes(), &body[..]].concat()
}

/// The sum of the plain lengths in the block headers, where the headers fit the stream.
fn declared(mut wire: &[u8]) -> Option<usize> {
    let mut sum = 0;
    while let Some((&[a, b, c, d], rest)) = wire.split_first_chunk() {
        sum += usize::from(u16::from_le_bytes([a, b])) + 1;
        wire = rest.get(usize::from(u16::from_le_bytes([c, d])) + 1..)?;
    }
    wire.is_empty().then_some(sum)
}
