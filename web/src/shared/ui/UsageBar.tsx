import { Flex, Progress, Typography } from "antd";
import { useTranslation } from "react-i18next";

/** How much of one thing is used, in words, and as a bar where it is limited: `full` is in per cent, null for no limit. */
export function UsageBar(props: { label: string; words: string; full: number | null; more?: string }) {
  const { label, words, full, more = "" } = props;
  const { t } = useTranslation();
  const isFull = full !== null && full >= 100;
  return (
    <div>
      <Flex justify="space-between" gap="small" wrap>
        <span>{label}</span>
        <Typography.Text type={isFull ? "danger" : "secondary"} className="number">
          {words}
          {more}
          {isFull && ` · ${t("quota.full")}`}
        </Typography.Text>
      </Flex>
      {full !== null && (
        <Progress
          percent={full}
          size="small"
          showInfo={false}
          status={isFull ? "exception" : "normal"}
          aria-label={`${label}: ${words}`}
        />
      )}
    </div>
  );
}
