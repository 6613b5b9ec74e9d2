use super::*;
use crate::netlink::read::{ne16, ne32};
use proptest::prelude::*;

#[test]
fn what_is_written_is_read_again() {
    let mut buffer = Buffer::default();
    let message = buffer.message(7, REQUEST | ACK, 9);
    buffer.raw(&[1, 2, 3, 4]);
    buffer.text(1, "cali1");
    let nest = buffer.nest(2);
    buffer.be32(3, 5);
    buffer.be64(4, 6);
    buffer.end(nest);
    buffer.attribute(5, &[9]);
    buffer.end_message(message);

    let messages: Vec<_> = Messages(buffer.bytes()).collect();
    assert_eq!(messages.len(), 1);
    let message = messages[0];
    assert_eq!((message.kind, message.flags, message.sequence), (7, REQUEST | ACK, 9));
    let attributes: Vec<_> = message.attributes(4).collect();
    assert_eq!(attributes[0], (1, b"cali1\0".as_slice()));
    assert_eq!(text(attributes[0].1), Some("cali1"));
    let inner: Vec<_> = Attributes(attributes[1].1).collect();
    assert_eq!((inner[0].0, be32(inner[0].1)), (3, Some(5)));
    assert_eq!((inner[1].0, be64(inner[1].1)), (4, Some(6)));
    assert_eq!(attributes[2], (5, [9].as_slice()));
    assert_eq!(attributes.len(), 3);
}

#[test]
fn an_error_says_what_the_kernel_said() {
    let mut buffer = Buffer::default();
    // CAPPED and TLVS, as the kernel sets them.
    let message = buffer.message(ERROR, 0x300, 77);
    buffer.raw(&(-2_i32).to_ne_bytes());
    buffer.raw(&[16, 0, 0, 0, 0, 10, 5, 0, 77, 0, 0, 0, 0, 0, 0, 0]);
    buffer.text(1, "no such chain");
    buffer.attribute(2, &20_u32.to_ne_bytes());
    buffer.end_message(message);
    let message = Messages(buffer.bytes()).next().expect("one message");
    let ack = message.ack().expect("an error");
    assert_eq!((ack.errno, ack.sequence, ack.text, ack.offset), (2, 77, Some("no such chain"), Some(20)));
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for message in Messages(&bytes) {
            let _ = message.ack();
            for (_, value) in message.attributes(20) {
                let _ = (text(value), be32(value), be64(value), ne16(value, 1), ne32(value, 3));
                let _ = Attributes(value).count();
            }
        }
    }

    #[test]
    fn lengths_that_lie_do_not_make_reading_panic(
        length in any::<u32>(), flags in any::<u16>(), rest in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&2_u16.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&rest);
        for message in Messages(&bytes) {
            let _ = message.ack();
            let _ = message.attributes(usize::from(flags)).count();
        }
    }
}
