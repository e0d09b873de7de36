package io.github.qnnsd.worker;

import java.util.Map;

/** What OPEN asks for. */
final class Opening {
    final String component;
    final String file;
    final int place;
    final Map<String, String> options;

    Opening(String component, String file, int place, Map<String, String> options) {
        this.component = component;
        this.file = file;
        this.place = place;
        this.options = options;
    }

    boolean asks(Opening other) {
        return place == other.place && file.equals(other.file) && options.equals(other.options);
    }
}
