package io.github.qnnsd.worker;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.StandardCharsets;

/** Reads frames as they come. Nothing is read past a frame's end, and no length is believed before it is checked. */
final class FrameReader {
    private static final int HEADER_BYTES = 9;

    private final InputStream stream;
    private final byte[] chunk = new byte[1 << 16];
    private final ByteBuffer small = ByteBuffer.wrap(chunk).order(ByteOrder.LITTLE_ENDIAN);
    private final CharsetDecoder utf8 = StandardCharsets.UTF_8.newDecoder();
    private long remaining;
    private long id;
    private int kind;

    FrameReader(InputStream stream) {
        this.stream = stream;
    }

    /** Goes on to the next frame; false if the host has hung up between two frames. */
    boolean next() throws IOException, ProtocolException {
        int got = stream.read(chunk, 0, HEADER_BYTES);
        if (got < 0) {
            return false;
        }
        fill(got, HEADER_BYTES - got);
        long length = small.getInt(0) & 0xFFFFFFFFL;
        id = small.getInt(4) & 0xFFFFFFFFL;
        kind = small.get(8) & 0xFF;
        if (length > Protocol.MAX_BODY_BYTES) {
            throw new ProtocolException("a body of " + length + " bytes is over the limit");
        }
        remaining = length;
        return true;
    }

    long id() {
        return id;
    }

    int kind() {
        return kind;
    }

    int u8() throws IOException, ProtocolException {
        take(1);
        return small.get(0) & 0xFF;
    }

    int u16() throws IOException, ProtocolException {
        take(2);
        return small.getShort(0) & 0xFFFF;
    }

    /** The number of inputs or outputs that follow. */
    int count() throws IOException, ProtocolException {
        int count = u16();
        if (count > Protocol.MAX_TENSORS) {
            throw new ProtocolException(count + " inputs or outputs are over the limit of " + Protocol.MAX_TENSORS);
        }
        return count;
    }

    long u32() throws IOException, ProtocolException {
        take(4);
        return small.getInt(0) & 0xFFFFFFFFL;
    }

    float f32() throws IOException, ProtocolException {
        take(4);
        return small.getFloat(0);
    }

    String string() throws IOException, ProtocolException {
        int length = u16();
        if (length > Protocol.MAX_STRING_BYTES) {
            throw new ProtocolException("a string of " + length + " bytes is over the limit");
        }
        take(length);
        try {
            return utf8.decode(ByteBuffer.wrap(chunk, 0, length)).toString();
        } catch (CharacterCodingException error) {
            throw new ProtocolException("a string isn't UTF-8");
        }
    }

    /** The head of a tensor; its bytes come next and lie within the frame. */
    TensorSpec tensorHead(String name) throws IOException, ProtocolException {
        DType dtype = DType.ofCode(u8());
        int rank = u8();
        if (rank > Protocol.MAX_RANK) {
            throw new ProtocolException("a tensor of rank " + rank + " is over the limit");
        }
        long[] shape = new long[rank];
        long bytes = DType.BYTES;
        for (int axis = 0; axis < rank; axis++) {
            shape[axis] = u32();
            // Both factors are below 2^32, so the product can't overflow before it is refused.
            bytes = shape[axis] * bytes;
            if (shape[axis] == 0 || bytes > Protocol.MAX_BODY_BYTES) {
                throw new ProtocolException("a tensor's shape is empty or over the limit");
            }
        }
        if (bytes > remaining) {
            throw new ProtocolException("a tensor of " + bytes + " bytes runs past its frame");
        }
        return new TensorSpec(name, dtype, shape);
    }

    /** The bytes of a tensor, into all of its memory. */
    void tensorData(ByteBuffer target) throws IOException, ProtocolException {
        while (target.hasRemaining()) {
            int count = Math.min(chunk.length, target.remaining());
            take(count);
            target.put(chunk, 0, count);
        }
    }

    /** Every byte of a frame has a meaning. */
    void end() throws ProtocolException {
        if (remaining != 0) {
            throw new ProtocolException("a frame has " + remaining + " bytes more than its kind");
        }
    }

    /** Leaves out what is left of a request that was refused. */
    void skip() throws IOException, ProtocolException {
        while (remaining > 0) {
            take((int) Math.min(chunk.length, remaining));
        }
    }

    private void take(int count) throws IOException, ProtocolException {
        if (count > remaining) {
            throw new ProtocolException("a field runs past its frame");
        }
        remaining -= count;
        fill(0, count);
    }

    private void fill(int offset, int count) throws IOException {
        int end = offset + count;
        while (offset < end) {
            int got = stream.read(chunk, offset, end - offset);
            if (got < 0) {
                throw new EOFException("the host hung up in the middle of a frame");
            }
            offset += got;
        }
    }
}
