//! A KDC that knows nothing of delegation: what it is asked on a person's behalf it answers in the service's own name.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// `PA-FOR-USER` and `PA-S4U-X509-USER` (`[MS-SFU]` 2.2.1, 2.2.2), and `PA-FX-FAST` (RFC 6113), in which they would be hidden.
const S4U: [u32; 3] = [129, 130, 136];
/// The tag of a TGS-REQ (RFC 4120 section 5.4.1).
const TGS_REQ: u8 = 0x6c;

/// Starts one in front of the KDC at `upstream`; its port.
pub(super) async fn impostor(upstream: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its number").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, upstream));
        }
    });
    port
}

/// One question and its answer, each after its length (RFC 4120 section 7.2.2).
async fn relay(mut client: TcpStream, upstream: u16) -> std::io::Result<()> {
    let mut kdc = TcpStream::connect(("127.0.0.1", upstream)).await?;
    let mut question = vec![0; usize::try_from(client.read_u32().await?).expect("a length")];
    client.read_exact(&mut question).await?;
    let question = without_s4u(&question);
    kdc.write_u32(u32::try_from(question.len()).expect("a length")).await?;
    kdc.write_all(&question).await?;
    let mut answer = vec![0; usize::try_from(kdc.read_u32().await?).expect("a length")];
    kdc.read_exact(&mut answer).await?;
    client.write_u32(u32::try_from(answer.len()).expect("a length")).await?;
    client.write_all(&answer).await
}

/// The message without the pre-authentication data that asks for a ticket in another's name.
fn without_s4u(message: &[u8]) -> Vec<u8> {
    let (tag, body, _) = read(message);
    if tag != TGS_REQ {
        return message.to_vec();
    }
    let (_, sequence, _) = read(body);
    let (mut fields, mut rest) = (Vec::new(), sequence);
    while !rest.is_empty() {
        let (tag, value, after) = read(rest);
        // [3] padata
        let value = if tag == 0xa3 { written(0x30, &kept(read(value).1)) } else { value.to_vec() };
        fields.extend(written(tag, &value));
        rest = after;
    }
    written(TGS_REQ, &written(0x30, &fields))
}

/// The elements of a `SEQUENCE OF PA-DATA` that are not about S4U.
fn kept(mut list: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    while !list.is_empty() {
        let (tag, element, after) = read(list);
        let kind = read(read(element).1).1.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        if !S4U.contains(&kind) {
            kept.extend(written(tag, element));
        }
        list = after;
    }
    kept
}

/// Tag, contents, and what follows.
fn read(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            (der[2..2 + count].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + count)
        }
    };
    (der[0], &der[start..start + length], &der[start + length..])
}

fn written(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let first = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let mut der = vec![tag];
    if contents.len() >= 0x80 {
        der.push(0x80 | u8::try_from(length.len() - first).expect("at most eight"));
    }
    der.extend(&length[first..]);
    der.extend(contents);
    der
}
