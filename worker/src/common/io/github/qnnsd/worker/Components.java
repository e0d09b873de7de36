package io.github.qnnsd.worker;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.util.HashMap;
import java.util.Map;

/** The components that are loaded, each once. */
final class Components {
    private final OrtEnvironment environment;
    private final SessionFactory sessions;
    private final Map<String, Component> loaded = new HashMap<String, Component>();

    Components(OrtEnvironment environment, SessionFactory sessions) {
        this.environment = environment;
        this.sessions = sessions;
    }

    Component get(String name) throws RequestException {
        Component component = loaded.get(name);
        if (component == null) {
            throw new RequestException(Protocol.NOT_OPEN, name + " isn't open", "It was never opened, or closed.");
        }
        return component;
    }

    /** Whether exactly this is open already. */
    boolean has(OpenRequest wanted) throws RequestException {
        Component component = loaded.get(wanted.component);
        if (component == null) {
            return false;
        }
        if (!component.opened.asksTheSame(wanted)) {
            throw new RequestException(
                    Protocol.LOAD_FAILED,
                    wanted.component + " is open already",
                    "It was opened from " + component.opened.file + " or with other options: close it first.");
        }
        return true;
    }

    void load(OpenRequest wanted) throws RequestException, OrtException {
        long started = System.nanoTime();
        OrtSession session = sessions.open(wanted);
        boolean kept = false;
        try {
            Component component = new Component(environment, session, wanted, System.nanoTime() - started);
            loaded.put(wanted.component, component);
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
