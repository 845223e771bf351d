import { Flex, Progress, Tooltip, Typography } from "antd";
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

/** Resources in short, for a table's cell. */
export function UsageList({ usage }: { usage: Figures[] }) {
  const { t } = useTranslation();
  const name = useResourceName();
  return (
    <Flex vertical style={{ minWidth: 190 }}>
      {usage.map((one) => (
        <Tooltip key={one.resource} title={t("usage.hint")}>
          <Flex justify="space-between" gap="middle">
            <span>{name(one.resource)}</span>
            <Typography.Text type="secondary" className="number">
              {one.allocated_text} / {one.capacity_text}
            </Typography.Text>
          </Flex>
        </Tooltip>
      ))}
    </Flex>
  );
}
