package org.txnpipe.flink.kinesis;

import java.io.Serializable;
import java.util.List;
import java.util.UUID;
import java.util.stream.Collectors;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.LogicalType;

/** How a row's partition key is made. Kinesis takes 1 to 256 characters. */
interface PartitionKey extends Serializable {
    int MAX_LENGTH = 256;

    String of(RowData row, int subtask);

    static PartitionKey random() {
        return (row, subtask) -> UUID.randomUUID().toString();
    }

    static PartitionKey fixed() {
        return (row, subtask) -> Integer.toString(subtask);
    }

    static PartitionKey ofColumns(List<String> columns, ResolvedSchema schema, String delimiter) {
        List<String> physical =
                schema.getColumns().stream()
                        .filter(column -> column.isPhysical())
                        .map(column -> column.getName())
                        .collect(Collectors.toList());
        List<LogicalType> types =
                schema.getColumns().stream()
                        .filter(column -> column.isPhysical())
                        .map(column -> column.getDataType().getLogicalType())
                        .collect(Collectors.toList());
        RowData.FieldGetter[] getters =
                columns.stream()
                        .map(physical::indexOf)
                        .map(position -> RowData.createFieldGetter(types.get(position), position))
                        .toArray(RowData.FieldGetter[]::new);
        return (row, subtask) -> {
            StringBuilder key = new StringBuilder();
            for (RowData.FieldGetter getter : getters) {
                if (key.length() > 0) {
                    key.append(delimiter);
                }
                key.append(getter.getFieldOrNull(row));
            }
            return key.substring(0, Math.min(key.length(), MAX_LENGTH));
        };
    }
}
