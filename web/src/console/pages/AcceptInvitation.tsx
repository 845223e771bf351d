import { api, ok, type Schemas } from "@shared/api/client";
import { ApiError } from "@shared/api/problem";
import { RoleTags } from "@shared/people/tags";
import { logIn } from "@shared/session";
import { Moment, Unc } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { FrontPage } from "@shared/ui/FrontPage";
import { PlainForm } from "@shared/ui/PlainForm";
import { useQuery } from "@tanstack/react-query";
import { Alert, Descriptions, Skeleton, Typography } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation, useNavigate } from "react-router-dom";
import { AccountFields } from "./AccountFields";

type Preview = Schemas["InvitationPreview"];
type Values = Omit<Schemas["InvitationAccept"], "code">;

/** Where an invitation's link leads: what is offered, and how one will be called. The code stays out of all logs. */
export function AcceptInvitation() {
  const { t } = useTranslation();
  const code = useLocation().hash.slice(1);
  const navigate = useNavigate();
  const { data, error, refetch } = useQuery({
    queryKey: ["invitation", code],
    queryFn: () => ok(api.GET("/api/v1/invitations/code/{code}", { params: { path: { code } } })),
    refetchInterval: false,
  });

  const accept = async ({ username, password, ...rest }: Values) => {
    await ok(api.POST("/api/v1/invitations/accept", { body: { ...rest, username, password, code } }));
    await logIn(username, password);
    navigate("/overview", { replace: true });
  };

  if (error && !data) {
    const problem = error instanceof ApiError && error.problem.status ? error.problem : undefined;
    if (!problem)
      return <FrontPage title={t("invitation.title")}>{<ErrorCard error={error} retry={refetch} />}</FrontPage>;
    return (
      <FrontPage title={t("invitation.invalid")}>
        <Alert type="warning" showIcon role="alert" title={problem.detail} description={problem.cure} />
        <Typography.Paragraph style={{ margin: "16px 0 0", textAlign: "center" }}>
          <Link to="/">{t("register.toLogin")}</Link>
        </Typography.Paragraph>
      </FrontPage>
    );
  }
  return (
    <FrontPage title={t("invitation.title")} about={data && t("invitation.by", { name: data.invited_by })}>
      {data ? (
        <>
          <Offer preview={data} />
          <PlainForm<Values> name="accept" okText={t("invitation.accept")} submit={accept}>
            <AccountFields />
          </PlainForm>
        </>
      ) : (
        <Skeleton active />
      )}
    </FrontPage>
  );
}

function Offer({ preview }: { preview: Preview }) {
  const { t } = useTranslation();
  const facts: [string, ReactNode][] = [[t("invitation.roles"), <RoleTags key="roles" roles={preview.roles} />]];
  if (preview.groups.length) facts.push([t("invitation.groups"), preview.groups.join(", ")]);
  if (Number(preview.grant) > 0) facts.push([t("invitation.grant"), <Unc key="grant" value={preview.grant} />]);
  facts.push([t("invitation.until"), <Moment key="until" at={preview.expires_at} />]);
  return (
    <Descriptions
      size="small"
      column={1}
      items={facts.map(([label, children]) => ({ key: label, label, children }))}
      style={{ marginBottom: 16 }}
    />
  );
}
