import { Grid, Select, Tabs, Typography } from "antd";
import type { ReactNode } from "react";
import { useSearchParams } from "react-router-dom";

const FIT = 3;

/** A page of tabs; the chosen one is kept in the address. Where they do not fit, a list is chosen from instead. */
export function TabsPage({
  title,
  tabs,
}: {
  title: string;
  tabs: { key: string; label: string; children: ReactNode }[];
}) {
  const [params, setParams] = useSearchParams();
  const wide = Grid.useBreakpoint().md ?? window.innerWidth >= 768;
  const chosen = tabs.find(({ key }) => key === params.get("tab")) ?? tabs[0];
  const choose = (tab: string) => setParams({ tab }, { replace: true });
  return (
    <>
      <Typography.Title level={3} style={{ marginTop: 0 }}>
        {title}
      </Typography.Title>
      {wide || tabs.length <= FIT ? (
        <Tabs items={tabs} activeKey={chosen?.key} onChange={choose} destroyOnHidden />
      ) : (
        <>
          <Select
            aria-label={title}
            value={chosen?.key}
            onChange={choose}
            options={tabs.map(({ key, label }) => ({ value: key, label }))}
            style={{ width: "100%", marginBottom: 16 }}
          />
          {chosen?.children}
        </>
      )}
    </>
  );
}
