package io.github.qnnsd.worker;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.util.HashMap;
import java.util.Map;

/** The components that are loaded, each once. */
final class Components {
    private final OrtEnvironment environment;
    private final Sessions sessions;
    private final Map<String, Component> loaded = new HashMap<String, Component>();

    Components(OrtEnvironment environment, Sessions sessions) {
        this.environment = environment;
        this.sessions = sessions;
    }

    Component get(String name) throws Refusal {
        Component component = loaded.get(name);
        if (component == null) {
            throw new Refusal(Protocol.NOT_OPEN, name + " isn't open", "It was never opened, or closed.");
        }
        return component;
    }

    /** Whether exactly this is loaded already. */
    boolean has(Opening opening) throws Refusal {
        Component component = loaded.get(opening.component);
        if (component == null) {
            return false;
        }
        if (!component.opening.asks(opening)) {
            throw new Refusal(
                    Protocol.LOAD_FAILED,
                    opening.component + " is open already",
                    "It was opened from " + component.opening.file + " or with other options: close it first.");
        }
        return true;
    }

    void load(Opening opening) throws Refusal, OrtException {
        long started = System.nanoTime();
        OrtSession session = sessions.open(opening);
        boolean kept = false;
        try {
            Component component = new Component(environment, session, opening, System.nanoTime() - started);
            loaded.put(opening.component, component);
            kept = true;
        } finally {
            if (!kept) {
                session.close();
            }
        }
    }

    void close(String name) throws OrtException {
        Component component = loaded.remove(name);
        if (component != null) {
            component.close();
        }
    }

    void closeAll() throws OrtException {
        for (String name : loaded.keySet().toArray(new String[0])) {
            close(name);
        }
    }
}
