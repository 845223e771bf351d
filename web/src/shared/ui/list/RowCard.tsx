import { Card, Checkbox, Flex } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Column } from "./columns";

interface Props<T> {
  row: T;
  columns: Column<T>[];
  /** Shown below, as the table shows it when a row is opened. */
  detail?: ReactNode;
  chosen?: boolean;
  onChoose?: (chosen: boolean) => void;
}

/** A row on a narrow screen: its first column is the heading, what is empty is left out. */
export function RowCard<T extends object>({ row, columns, detail, chosen, onChoose }: Props<T>) {
  const { t } = useTranslation();
  const [heading, ...rest] = columns.filter((column) => !column.wideOnly);
  const content = (column: Column<T>) => {
    const value = column.dataIndex ? row[column.dataIndex as keyof T] : undefined;
    return (column.render ? column.render(value, row, 0) : value) as ReactNode;
  };
  const facts = rest.filter((column) => column.title).map((column) => ({ column, value: content(column) }));
  const actions = rest.find((column) => !column.title);
  const buttons = actions && content(actions);
  return (
    <Card size="small" className="row-card">
      <Flex gap="small" align="start" justify="space-between">
        <div className="row-card-heading">{heading && content(heading)}</div>
        {onChoose && (
          <Checkbox
            aria-label={t("list.choose")}
            checked={chosen}
            onChange={(event) => onChoose(event.target.checked)}
          />
        )}
      </Flex>
      <dl>
        {facts
          .filter(({ value }) => value !== null && value !== undefined && value !== "" && value !== "–")
          .map(({ column, value }) => (
            <div key={String(column.key ?? column.dataIndex)}>
              <dt>{column.title as ReactNode}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
      {buttons && <div className="row-card-actions">{buttons}</div>}
      {detail && (
        <details>
          <summary>{t("common.more")}</summary>
          {detail}
        </details>
      )}
    </Card>
  );
}
