import { Tabs, Typography } from "antd";
import type { ReactNode } from "react";
import { useSearchParams } from "react-router-dom";

/** A page of tabs; the chosen one is kept in the address. */
export function TabsPage({
  title,
  tabs,
}: {
  title: string;
  tabs: { key: string; label: string; children: ReactNode }[];
}) {
  const [params, setParams] = useSearchParams();
  return (
    <>
      <Typography.Title level={3} style={{ marginTop: 0 }}>
        {title}
      </Typography.Title>
      <Tabs
        items={tabs}
        activeKey={params.get("tab") ?? tabs[0]?.key}
        onChange={(tab) => setParams({ tab }, { replace: true })}
        destroyOnHidden
      />
    </>
  );
}
