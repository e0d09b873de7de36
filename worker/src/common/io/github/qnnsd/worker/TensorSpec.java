package io.github.qnnsd.worker;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Name, dtype and static shape of a component's input or output, or of a tensor in a frame. Whoever makes one has
 * checked that its bytes fit in a frame.
 */
final class TensorSpec {
    final String name;
    final DType dtype;
    final long[] shape;

    TensorSpec(String name, DType dtype, long[] shape) {
        this.name = name;
        this.dtype = dtype;
        this.shape = shape;
    }

    /** Size of the elements. */
    int bytes() {
        long bytes = DType.BYTES;
        for (long size : shape) {
            bytes *= size;
        }
        return (int) bytes;
    }

    /** Size of name and shape in a reply. */
    int headBytes() {
        return 2 + name.getBytes(StandardCharsets.UTF_8).length + 2 + 4 * shape.length;
    }

    boolean takes(TensorSpec other) {
        return dtype == other.dtype && Arrays.equals(shape, other.shape);
    }

    /** For messages: {@code sample FLOAT32[1, 4, 64, 64]}. */
    String describe() {
        return name + " " + dtype.name() + Arrays.toString(shape);
    }
}
