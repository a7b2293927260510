package org.txnpipe.flink.kinesis;

import java.io.IOException;
import java.io.Serializable;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.util.InstantiationUtil;

/** State as Java serialization: the classes have a fixed serialVersionUID. */
final class JavaSerializer<T extends Serializable> implements SimpleVersionedSerializer<T> {
    @Override
    public int getVersion() {
        return 1;
    }

    @Override
    public byte[] serialize(T state) throws IOException {
        return InstantiationUtil.serializeObject(state);
    }

    @Override
    public T deserialize(int version, byte[] bytes) throws IOException {
        if (version != getVersion()) {
            throw new IOException("This state has version " + version + ", known is " + getVersion() + ".");
        }
        try {
            return InstantiationUtil.deserializeObject(bytes, JavaSerializer.class.getClassLoader());
        } catch (ClassNotFoundException unknown) {
            throw new IOException(unknown);
        }
    }
}
