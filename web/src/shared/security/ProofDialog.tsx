import { Form, Input } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "../api/client";
import { ApiError } from "../api/problem";
import { useSession } from "../session";
import { FormDialog } from "../ui/FormDialog";
import { NoPasskeyError, withPasskey } from "./passkeys";

type Proof = Schemas["Proof"];

interface Props<V extends object, R> {
  title: string;
  name: string;
  open: boolean;
  onClose: () => void;
  okText?: string;
  danger?: boolean;
  intro?: ReactNode;
  submit: (proof: Proof, values: V) => Promise<R>;
  onDone: (result: R) => void;
  initialValues?: Partial<V>;
  /** Further fields, above the password. */
  children?: ReactNode;
}

/** A dialog for what a thief of an open session must not do: it asks for the password and the second factor. */
export function ProofDialog<V extends object, R>(props: Props<V, R>) {
  const { submit, children, initialValues, ...rest } = props;
  const { t } = useTranslation();
  const send = async ({ password, code, ...values }: V & Typed) => {
    try {
      return await withPasskey({ code: code?.trim() || null, passkey: null }, (step) =>
        submit({ password, ...step }, values as unknown as V),
      );
    } catch (error) {
      if (!(error instanceof NoPasskeyError)) throw error;
      throw new ApiError({ status: 400, title: "", detail: t("security.noPasskey"), code: "no_passkey" });
    }
  };
  return (
    <FormDialog<V & Typed, R> {...rest} initialValues={initialValues as Partial<V & Typed>} submit={send}>
      {children}
      <ProofFields />
    </FormDialog>
  );
}

interface Typed {
  password: string;
  code?: string;
}

/** The password and, for who has a second factor, its code. */
export function ProofFields() {
  const { t } = useTranslation();
  const { user } = useSession();
  return (
    <>
      <Form.Item
        label={t("login.password")}
        name="password"
        extra={t("tokens.passwordHint")}
        rules={[{ required: true, message: t("common.required") }]}
      >
        <Input.Password autoComplete="current-password" />
      </Form.Item>
      {user.second_factor && (
        <Form.Item label={t("security.code")} name="code" extra={t("security.codeOrPasskey")}>
          <Input autoComplete="one-time-code" maxLength={64} />
        </Form.Item>
      )}
    </>
  );
}
