package io.github.qnnsd.worker;

import java.util.Map;

/** What an OPEN request asks for. */
final class OpenRequest {
    final String component;
    final String file;
    final int unit;
    final Map<String, String> options;

    OpenRequest(String component, String file, int unit, Map<String, String> options) {
        this.component = component;
        this.file = file;
        this.unit = unit;
        this.options = options;
    }

    boolean asksTheSame(OpenRequest other) {
        return unit == other.unit && file.equals(other.file) && options.equals(other.options);
    }
}
