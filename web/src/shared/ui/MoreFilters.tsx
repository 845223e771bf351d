import { FilterOutlined } from "@ant-design/icons";
import { Badge, Button, Grid } from "antd";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";

/** Filters that a narrow screen shows only when they are asked for. `set`: how many of them are set. */
export function MoreFilters({ set, children }: { set: number; children: ReactNode }) {
  const { t } = useTranslation();
  const wide = Grid.useBreakpoint().md ?? window.innerWidth >= 768;
  const [open, setOpen] = useState(false);
  if (wide) return children;
  return (
    <>
      <Badge count={set} size="small">
        <Button icon={<FilterOutlined aria-hidden />} aria-expanded={open} onClick={() => setOpen(!open)}>
          {t("people.filters")}
        </Button>
      </Badge>
      {open && children}
    </>
  );
}
