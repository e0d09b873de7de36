package io.github.qnnsd.worker;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Writes replies: small fields are collected, tensors follow them straight from their memory. */
final class FrameWriter {
    private static final int HEADER_BYTES = 9;
    static final int MAX_TEXT = 1000;

    private final OutputStream stream;
    /** Enough for the reply to OPEN: 64 inputs and 64 outputs with the longest names, 3 bytes a character. */
    private final byte[] chunk = new byte[1 << 19];
    private final ByteBuffer head = ByteBuffer.wrap(chunk).order(ByteOrder.LITTLE_ENDIAN);

    FrameWriter(OutputStream stream) {
        this.stream = stream;
        begin();
    }

    /** Forgets what an unfinished reply had collected. */
    FrameWriter begin() {
        head.clear().position(HEADER_BYTES);
        return this;
    }

    FrameWriter u8(int value) {
        head.put((byte) value);
        return this;
    }

    FrameWriter u16(int value) {
        head.putShort((short) value);
        return this;
    }

    FrameWriter u32(long value) {
        head.putInt((int) value);
        return this;
    }

    FrameWriter u64(long value) {
        head.putLong(value);
        return this;
    }

    FrameWriter f32(float value) {
        head.putFloat(value);
        return this;
    }

    /** A text, shortened where a message is longer than people read. */
    FrameWriter string(String text) {
        String shown = text.length() > MAX_TEXT ? text.substring(0, MAX_TEXT) : text;
        byte[] bytes = shown.getBytes(StandardCharsets.UTF_8);
        u16(bytes.length);
        head.put(bytes);
        return this;
    }

    FrameWriter shape(TensorSpec spec) {
        u8(spec.dtype.code).u8(spec.shape.length);
        for (long size : spec.shape) {
            u32(size);
        }
        return this;
    }

    void send(long id, int kind) throws IOException {
        completeHeader(id, kind, 0);
        flush();
    }

    /** Sends what was collected, then the number of tensors and each one's name, shape and bytes; skips nulls. */
    void send(long id, int kind, Tensor[] tensors) throws IOException {
        int count = 0;
        int bytes = 0;
        for (Tensor tensor : tensors) {
            if (tensor != null) {
                count++;
                bytes += tensor.spec.headBytes() + tensor.spec.bytes();
            }
        }
        u16(count);
        completeHeader(id, kind, bytes);
        for (Tensor tensor : tensors) {
            if (tensor != null) {
                write(tensor);
            }
        }
        flush();
    }

    private void write(Tensor tensor) throws IOException {
        if (head.remaining() < tensor.spec.headBytes()) {
            writeChunk();
        }
        string(tensor.spec.name).shape(tensor.spec);
        ByteBuffer data = tensor.bytes();
        while (data.hasRemaining()) {
            if (!head.hasRemaining()) {
                writeChunk();
            }
            int count = Math.min(head.remaining(), data.remaining());
            data.get(chunk, head.position(), count);
            head.position(head.position() + count);
        }
    }

    /** Completes the header of a frame: so many bytes come after what was collected. */
    private void completeHeader(long id, int kind, int following) {
        head.putInt(0, head.position() - HEADER_BYTES + following);
        head.putInt(4, (int) id);
        head.put(8, (byte) kind);
    }

    private void writeChunk() throws IOException {
        stream.write(chunk, 0, head.position());
        head.clear();
    }

    private void flush() throws IOException {
        writeChunk();
        stream.flush();
    }
}
