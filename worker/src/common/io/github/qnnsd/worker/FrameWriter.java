package io.github.qnnsd.worker;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Writes replies: small fields are collected, a tensor's bytes follow them straight from its memory. */
final class FrameWriter {
    private static final int HEADER_BYTES = 9;
    static final int MAX_TEXT = 1000;

    private final OutputStream stream;
    private final byte[] chunk = new byte[1 << 18];
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

    FrameWriter shape(Port port) {
        u8(port.dtype.code).u8(port.shape.length);
        for (long size : port.shape) {
            u32(size);
        }
        return this;
    }

    void send(long id, int kind) throws IOException {
        finish(id, kind, 0);
        stream.write(chunk, 0, head.position());
        stream.flush();
    }

    /** Sends what was collected, then the tensor's head and bytes. */
    void send(long id, int kind, Tensor tensor) throws IOException {
        ByteBuffer data = tensor.bytes();
        shape(tensor.port);
        finish(id, kind, data.remaining());
        int used = head.position();
        while (data.hasRemaining()) {
            int count = Math.min(chunk.length - used, data.remaining());
            data.get(chunk, used, count);
            stream.write(chunk, 0, used + count);
            used = 0;
        }
        stream.flush();
    }

    private void finish(long id, int kind, int following) {
        head.putInt(0, head.position() - HEADER_BYTES + following);
        head.putInt(4, (int) id);
        head.put(8, (byte) kind);
    }
}
