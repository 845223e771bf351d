import { api, ok, type Schemas } from "@shared/api/client";
import { ApiError, toFields } from "@shared/api/problem";
import { said } from "@shared/i18n/said";
import { Unc, useResourceName } from "@shared/ui/bits";
import { useQuery } from "@tanstack/react-query";
import { Alert, type FormInstance, Typography } from "antd";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Fit } from "./SpecsParts";

type Items = Schemas["SpecItemIn"][];
const SETTLE_MS = 400;

/** Ask the server about a bundle that is being typed; what it refuses is shown at the row. */
export function usePreview<V extends { items: Items }>(
  form: FormInstance<V>,
  items: Items | undefined,
): Schemas["SpecPreview"] | undefined {
  const whole = (items ?? []).flatMap((item, index) =>
    item?.resource && item.quantity?.trim() ? [{ index, resource: item.resource, quantity: item.quantity.trim() }] : [],
  );
  const typed = JSON.stringify(whole);
  const [settled, setSettled] = useState(typed);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(typed), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [typed]);

  const asked = JSON.parse(settled) as typeof whole;
  const { data, error } = useQuery({
    queryKey: ["spec-preview", settled],
    queryFn: () => {
      const body = { items: asked.map(({ resource, quantity }) => ({ resource, quantity })) };
      return ok(api.POST("/api/v1/specs/preview", { body }));
    },
    enabled: asked.length > 0,
    retry: false,
    placeholderData: (previous) => previous,
  });
  useEffect(() => {
    if (!(error instanceof ApiError) || settled !== typed) return;
    // Rows that are not whole were not sent: the server counts without them.
    const rows = JSON.parse(settled) as typeof whole;
    const rename = Object.fromEntries(
      rows.flatMap(({ index }, sent) =>
        ["resource", "quantity"].map((part) => [`items.${sent}.${part}`, `items.${index}.${part}`]),
      ),
    );
    const names = rows.flatMap(({ index }) => ["resource", "quantity"].map((part) => ["items", index, part]));
    form.setFields(toFields(error.problem, names, rename).fields as Parameters<typeof form.setFields>[0]);
  }, [error, settled, typed, form]);
  return error ? undefined : data;
}

/** Where it fits, and how its suggested price comes about. */
export function Preview({ preview }: { preview: Schemas["SpecPreview"] | undefined }) {
  const { t } = useTranslation();
  const name = useResourceName();
  if (!preview) return null;
  const never = preview.fit.at_best === 0;
  return (
    <div className="preview" aria-live="polite">
      <span className="tags">
        <Typography.Text strong>{t("specs.fit")}</Typography.Text>
        <Fit fit={preview.fit} />
      </span>
      {never && <Alert type="warning" showIcon title={t("specs.neverFits")} description={said(preview.detail)} />}
      {preview.lines.length > 0 && (
        <table className="sum">
          <caption className="hidden">{t("specs.suggestion")}</caption>
          <tbody>
            {preview.lines.map((line) => (
              <tr key={line.resource}>
                <th scope="row">{name(line.resource)}</th>
                <td>
                  {line.text} × <Unc value={line.unit_price} />/{t(`specs.unit.${line.unit as "core"}`)}
                </td>
                <td>
                  <Unc value={line.amount} />
                </td>
              </tr>
            ))}
          </tbody>
          {preview.suggested_price && (
            <tfoot>
              <tr>
                <th scope="row" colSpan={2}>
                  {t("specs.suggestion")}
                </th>
                <td>
                  <Unc value={preview.suggested_price} perHour strong />
                </td>
              </tr>
            </tfoot>
          )}
        </table>
      )}
      {preview.missing.length > 0 && (
        <Typography.Text type="secondary">
          {t("specs.noUnitPrice", { names: preview.missing.map(name).join(", ") })}
        </Typography.Text>
      )}
    </div>
  );
}
