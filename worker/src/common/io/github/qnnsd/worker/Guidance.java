package io.github.qnnsd.worker;

import java.nio.FloatBuffer;

/** Combines the two passes of classifier-free guidance (Ho and Salimans 2022). */
final class Guidance {
    private static final int PIECE = 4096;

    private final float[] first = new float[PIECE];
    private final float[] second = new float[PIECE];

    /**
     * Sets {@code results[i]} to {@code results[i] + scale * (others[i] - results[i])}, each operation rounded to
     * float32; returns nanoseconds.
     */
    long combine(Tensor[] results, Tensor[] others, float scale) {
        long started = System.nanoTime();
        for (int index = 0; index < results.length; index++) {
            combine(results[index].floats(), others[index].floats(), scale);
        }
        return System.nanoTime() - started;
    }

    private void combine(FloatBuffer result, FloatBuffer other, float scale) {
        while (result.hasRemaining()) {
            int count = Math.min(PIECE, result.remaining());
            int start = result.position();
            result.get(first, 0, count);
            other.get(second, 0, count);
            for (int index = 0; index < count; index++) {
                first[index] = first[index] + scale * (second[index] - first[index]);
            }
            result.position(start);
            result.put(first, 0, count);
        }
    }
}
