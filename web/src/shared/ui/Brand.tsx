import { Flex, Typography, theme } from "antd";

/** The mark and the name. `small` leaves the name out. */
export function Brand({ small, light }: { small?: boolean; light?: boolean }) {
  const { token } = theme.useToken();
  const colour = light ? "#fff" : token.colorPrimary;
  const inner = light ? "#10202b" : "#fff";
  return (
    <Flex align="center" gap={10}>
      <svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">
        <rect x="7" y="7" width="18" height="18" rx="4" fill={colour} />
        <path
          d="M12 2v5m8-5v5m-8 18v5m8-5v5M2 12h5m-5 8h5m18-8h5m-5 8h5"
          stroke={colour}
          strokeWidth="2.5"
          strokeLinecap="round"
        />
        <path d="M12 12v5a4 4 0 0 0 8 0v-5" fill="none" stroke={inner} strokeWidth="2.5" strokeLinecap="round" />
      </svg>
      {!small && (
        <Typography.Text strong style={{ fontSize: 20, letterSpacing: -0.4, color: light ? "#fff" : undefined }}>
          utcloud
        </Typography.Text>
      )}
    </Flex>
  );
}
