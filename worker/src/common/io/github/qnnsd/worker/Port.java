package io.github.qnnsd.worker;

import java.util.Arrays;

/**
 * An input or output of a component, or the head of a tensor that travels: its name, dtype and static shape. Whoever
 * makes one has checked that its bytes fit in a frame.
 */
final class Port {
    final String name;
    final DType dtype;
    final long[] shape;

    Port(String name, DType dtype, long[] shape) {
        this.name = name;
        this.dtype = dtype;
        this.shape = shape;
    }

    int bytes() {
        long bytes = DType.BYTES;
        for (long size : shape) {
            bytes *= size;
        }
        return (int) bytes;
    }

    boolean takes(Port other) {
        return dtype == other.dtype && Arrays.equals(shape, other.shape);
    }

    /** For messages: {@code sample FLOAT32[1, 4, 64, 64]}. */
    String describe() {
        return name + " " + dtype.name() + Arrays.toString(shape);
    }
}
