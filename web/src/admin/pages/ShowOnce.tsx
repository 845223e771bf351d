import { Copyable } from "@shared/ui/bits";
import { App, Typography } from "antd";
import { useTranslation } from "react-i18next";

interface Secret {
  title: string;
  hint: string;
  label: string;
  text: string;
}

/** Show a secret that the server will not say again, to be copied. */
export function useShowOnce() {
  const { modal } = App.useApp();
  const { t } = useTranslation();
  return ({ title, hint, label, text }: Secret) =>
    modal.success({
      title,
      width: 520,
      okText: t("common.ok"),
      content: (
        <>
          <Typography.Paragraph type="secondary">{hint}</Typography.Paragraph>
          <Copyable text={text} label={label} />
        </>
      ),
    });
}
