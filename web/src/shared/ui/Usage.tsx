import { Flex, Progress, Typography, theme } from "antd";
import { Fragment } from "react";
import { useTranslation } from "react-i18next";
import { Simulated, useResourceName } from "./bits";

interface Figures {
  resource: string;
  capacity: number;
  allocated: number;
  capacity_text: string;
  allocated_text: string;
  simulated?: boolean;
}

const percent = ({ capacity, allocated }: Figures) => (capacity ? Math.round((allocated / capacity) * 100) : 0);

/** One resource's bar: how much of it is allocated. */
export function UsageBar({ usage, width }: { usage: Figures; width?: number }) {
  const { t } = useTranslation();
  const name = useResourceName()(usage.resource);
  const figures = t("usage.of", { allocated: usage.allocated_text, capacity: usage.capacity_text });
  return (
    <div style={{ width }}>
      <Flex justify="space-between" gap="small">
        <span className="tags">
          <Typography.Text ellipsis style={{ maxWidth: 180 }}>
            {name}
          </Typography.Text>
          <Simulated when={usage.simulated} />
        </span>
        <Typography.Text type="secondary" className="number">
          {figures}
        </Typography.Text>
      </Flex>
      <Progress
        percent={percent(usage)}
        size="small"
        showInfo={false}
        status="normal"
        aria-label={`${name}: ${figures}`}
      />
    </div>
  );
}

/** Resources in short, for a table's cell: name, bar, figures. */
export function UsageList({ usage }: { usage: Figures[] }) {
  const { t } = useTranslation();
  const name = useResourceName();
  return (
    <div className="usage-list" title={t("usage.hint")}>
      {usage.map((one) => (
        <Fragment key={one.resource}>
          <span>{name(one.resource)}</span>
          <Meter percent={percent(one)} />
          <Typography.Text type="secondary" className="number">
            {one.allocated_text} / {one.capacity_text}
          </Typography.Text>
        </Fragment>
      ))}
    </div>
  );
}

/** A thin bar beside the figures that say the same. */
export function Meter({ percent, alarm }: { percent: number; alarm?: boolean }) {
  const { token } = theme.useToken();
  return (
    <span className="meter" aria-hidden style={{ background: token.colorFillSecondary }}>
      <span
        style={{
          width: `${Math.min(100, Math.max(0, percent))}%`,
          background: alarm ? token.colorError : token.colorPrimary,
        }}
      />
    </span>
  );
}
