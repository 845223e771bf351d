import { DatePicker } from "antd";
import dayjs from "dayjs";
import { useTranslation } from "react-i18next";

type Day = string | undefined;

/** Narrows a list to some days, as one's own calendar counts them: `2026-01-31`. */
export function Period({ value, onChange }: { value: [Day, Day]; onChange: (since: Day, until: Day) => void }) {
  const { t } = useTranslation();
  const [since, until] = value;
  return (
    <DatePicker.RangePicker
      aria-label={t("charges.period")}
      value={since && until ? [dayjs(since), dayjs(until)] : null}
      onChange={(days) => onChange(days?.[0]?.format("YYYY-MM-DD"), days?.[1]?.format("YYYY-MM-DD"))}
    />
  );
}

/** Both days whole, as the API asks for moments. */
export const daysQuery = (since: Day, until: Day) => ({
  since: since && dayjs(since).startOf("day").toISOString(),
  until: until && dayjs(until).add(1, "day").startOf("day").toISOString(),
});
